//! The programs of docs/protocol.md that sign tokens, run as they stand there.

use std::path::Path;
use std::process::Command;

use presence::wire::record::Record;
use presence_tests::binaries::repository;
use presence_tests::rest::send;
use presence_tests::websocket::HandshakeHeaders;
use presence_tests::{Daemon, Socket};
use reqwest::Method;
use serde_json::json;

use crate::jwt::key_file;

/// The interpreters, and the files that the first lines of the programs name.
const SAMPLES: [(&str, &str); 2] = [("node", "sign_token.mjs"), ("python3", "sign_token.py")];

/// The code block of the document whose first line names this file.
fn sample(file: &str) -> String {
    let text = std::fs::read_to_string(repository().join("docs/protocol.md")).unwrap();
    let blocks = text.split("\n```").filter_map(|block| block.split_once('\n'));
    let named = |code: &str| code.lines().next().is_some_and(|first| first.contains(file));
    let mut found = blocks.filter(|(language, code)| !language.is_empty() && named(code) && code.lines().count() > 1);
    let (_, code) = found.next().unwrap_or_else(|| panic!("a program {file}"));
    assert!(found.next().is_none(), "one program {file}");
    code.to_owned()
}

/// The token that a sample prints.
fn signed_by((interpreter, file): (&str, &str), dir: &Path, key: &Path, user: &str) -> String {
    let program = dir.join(file);
    std::fs::write(&program, sample(file)).unwrap();
    let output = Command::new(interpreter).args([&program, key]).arg(user).output();
    let output = output.unwrap_or_else(|error| panic!("needs {interpreter}, which scripts/test installs: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{file}: {said}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

async fn assert_accepted(daemon: &Daemon, token: &str, user: &str) {
    let request = daemon.rest().request(Method::PUT, "/api/user/custom-status");
    let request = request.bearer_auth(token).json(&json!({"customStatus": "IDLE"}));
    assert_eq!(send(request).await.ok::<Record>().user_id.as_str(), user);
    let socket = Socket::connect(daemon.address(), HandshakeHeaders::bearer(token)).await;
    assert_eq!(socket.unwrap().user.unwrap().user_id.as_str(), user);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_signed_by_the_documented_samples_are_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&[]).await;
    for sample in SAMPLES {
        for user in ["alice", "Jürgen Ünal 日本 🙂", r#"a"quote\and+slash/"#] {
            let token = signed_by(sample, dir.path(), &daemon.file("jwt-key"), user);
            assert_accepted(&daemon, &token, user).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_samples_read_a_key_as_the_daemon_does() {
    let dir = tempfile::tempdir().unwrap();
    let keys = [
        ("a byte order mark", "\u{feff}a key with white space\r\n"),
        ("space around it", "\n\t a key with  white space \n\n"),
        ("beyond ASCII", "schlüssel für präsenz\n"),
        ("hexadecimal", "00112233445566778899aabbccddeeff\n"),
    ];
    for (what, text) in keys {
        let path = key_file(dir.path(), "key", text);
        let daemon = Daemon::start(&["--jwt-key", path.to_str().unwrap()]).await;
        for sample in SAMPLES {
            println!("{what}: {sample:?}");
            let token = signed_by(sample, dir.path(), &path, "alice");
            assert_accepted(&daemon, &token, "alice").await;
        }
    }
}
