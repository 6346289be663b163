//! Rotation of keys and secrets as docs/operations.md describes it, while clients come and call all the time: nobody who follows the
//! steps is refused.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use jsonwebtoken::{Algorithm, EncodingKey, Header};

use presence::Status;
use presence_tests::daemon::Setup;
use presence_tests::jwt::{claims, signed};
use presence_tests::rest::send;
use presence_tests::wait::wait_until;
use presence_tests::websocket::HandshakeHeaders;
use presence_tests::{Daemon, Rest, Socket};
use reqwest::Method;
use tokio::task::JoinHandle;

/// Calls in a row until it is ended; each must succeed.
struct Load {
    calls: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Load {
    fn start<F: Future<Output = ()> + Send>(call: impl Fn(u64) -> F + Send + 'static) -> Self {
        let (calls, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, end) = (Arc::clone(&calls), Arc::clone(&is_over));
        let task = tokio::spawn(async move {
            while !end.load(Ordering::Acquire) {
                call(counter.load(Ordering::Acquire)).await;
                counter.fetch_add(1, Ordering::AcqRel);
            }
        });
        Self { calls, is_over, task }
    }

    /// Waits until so many more calls have succeeded.
    async fn goes_on(&self) {
        let before = self.calls.load(Ordering::Acquire);
        wait_until("calls succeed", async || {
            assert!(!self.task.is_finished(), "a call failed");
            (self.calls.load(Ordering::Acquire) > before + 20).then_some(())
        })
        .await;
    }

    async fn end(self) {
        self.is_over.store(true, Ordering::Release);
        self.task.await.unwrap();
    }
}

async fn reload(daemon: &Daemon, rest: &Rest) {
    let last = async || rest.try_stats().await.and_then(|stats| stats.reload);
    let before = last().await.map(|reload| reload.at);
    daemon.process().hang_up();
    let reloaded = wait_until("the daemon reloads", async || {
        last().await.filter(|reload| Some(reload.at) != before)
    });
    assert_eq!(reloaded.await.error, None);
}

/// A key pair, made as the document says: the files of the private and the public key.
fn key_pair(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (private, public) = (dir.join(format!("{name}.private.pem")), dir.join(format!("{name}.pem")));
    let run = |arguments: &[&str]| assert!(Command::new("openssl").args(arguments).status().unwrap().success());
    let (private_path, public_path) = (private.to_str().unwrap(), public.to_str().unwrap());
    run(&["genpkey", "-algorithm", "ed25519", "-out", private_path]);
    run(&["pkey", "-in", private_path, "-pubout", "-out", public_path]);
    (private, public)
}

/// The login service: signs with the key that it has now.
#[derive(Clone)]
struct LoginService(Arc<Mutex<EncodingKey>>);

impl LoginService {
    fn new(private: &Path) -> Self {
        Self(Arc::new(Mutex::new(Self::key(private))))
    }

    fn key(private: &Path) -> EncodingKey {
        EncodingKey::from_ed_pem(&std::fs::read(private).unwrap()).unwrap()
    }

    fn signs_with(&self, private: &Path) {
        *self.0.lock().unwrap() = Self::key(private);
    }

    fn token(&self, user: &str) -> String {
        signed(
            &Header::new(Algorithm::EdDSA),
            &claims(user, 60),
            &self.0.lock().unwrap(),
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_of_the_signing_key_refuses_nobody() {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let (old, old_public) = key_pair(home.path(), "old");
    let (new, new_public) = key_pair(home.path(), "new");
    let config = home.path().join("presenced.toml");
    let configure = |keys: &[&PathBuf]| std::fs::write(&config, format!("jwt-key = {keys:?}\n")).unwrap();
    configure(&[&old_public]);
    let flags = [
        "--config",
        config.to_str().unwrap(),
        "--ping-interval",
        "3s",
        "--ping-timeout",
        "2s",
    ];
    let daemon = Setup::new(&flags).start_in(Arc::clone(&home)).await;
    let (rest, address) = (daemon.rest(), daemon.address());
    let mut bob = daemon.socket("bob").await;
    bob.watch(&["alice"]).await;
    let login = LoginService::new(&old);
    let old_token = login.token("alice");
    let bearer = HandshakeHeaders::bearer(&old_token);
    let mut alice = Socket::connect(address, bearer).await.unwrap();
    bob.wait_for_status("alice", Status::Online).await;
    let (service, caller) = (login.clone(), daemon.rest());
    let caller = Arc::new(caller);
    let load = Load::start(move |nth| {
        let (token, caller) = (service.token(&format!("user-{}", nth % 7)), Arc::clone(&caller));
        async move {
            let socket = Socket::connect(address, HandshakeHeaders::bearer(&token)).await;
            socket.unwrap().close(Some(1000)).await;
            let own = caller.request(Method::GET, "/api/presence/alice");
            let answer = send(own.header("authorization", format!("Bearer {token}"))).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
    });
    load.goes_on().await;
    configure(&[&old_public, &new_public]);
    reload(&daemon, &rest).await;
    load.goes_on().await;
    login.signs_with(&new);
    load.goes_on().await;
    configure(&[&new_public]);
    reload(&daemon, &rest).await;
    load.goes_on().await;
    load.end().await;
    // Who still has a token of the old key gets a new one, and comes back without an event.
    assert_eq!(alice.goodbye().await, (4001, "expired".into(), Some(0)));
    let _alice = Socket::connect(address, HandshakeHeaders::bearer(&login.token("alice")))
        .await
        .unwrap();
    let marker = async { rest.set_custom_status("bob", "IDLE").await.ok() };
    assert_eq!(bob.updates_before("bob", marker).await, []);
    let refused = Socket::connect(address, HandshakeHeaders::bearer(&old_token)).await;
    assert!(refused.is_err(), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_of_the_secret_refuses_nobody() {
    let daemon = Daemon::start(&[]).await;
    let (address, old) = (daemon.address(), daemon.secret());
    let new = "the new secret of the back end".to_owned();
    let file = daemon.file("secret");
    let write = |text: String| std::fs::write(&file, text).unwrap();
    let back_end = Arc::new(Mutex::new(old.clone()));
    let configured = Arc::clone(&back_end);
    let load = Load::start(move |_| {
        let rest = Rest::new(address, configured.lock().unwrap().clone());
        async move {
            let answer = send(rest.internal(Method::GET, "/api/presence/alice")).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
    });
    load.goes_on().await;
    write(format!("{old}\n{new}\n"));
    reload(&daemon, &Rest::new(address, old.clone())).await;
    load.goes_on().await;
    *back_end.lock().unwrap() = new.clone();
    load.goes_on().await;
    write(format!("{new}\n"));
    reload(&daemon, &Rest::new(address, new)).await;
    load.goes_on().await;
    load.end().await;
    let refused = send(Rest::new(address, old).internal(Method::GET, "/api/presence/alice")).await;
    assert_eq!(refused.status, 403);
}
