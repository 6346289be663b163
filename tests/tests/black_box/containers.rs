//! `deploy/Containerfile`, `deploy/compose.yaml` and `deploy/kubernetes`, without a container runtime: the programs are started as the files
//! say, with their users, files, addresses, environments and commands, in namespaces that `presence_tests::container` makes. What images
//! of others hold is this machine's; that of the project is what the tests build.

mod compose;
mod containerfile;
mod kubernetes;

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Command, Output};

use presence_tests::binaries::repository;
use presence_tests::container::Container;
use presence_tests::wait_until;
use serde_json::Value;

/// The documents of a YAML file in `deploy`.
fn documents(name: &str) -> Vec<Value> {
    let mut script = Command::new(repository().join("scripts/manifests"));
    let output = script.arg("json").arg(repository().join("deploy").join(name)).output();
    serde_json::from_str(&said(&output.unwrap())).unwrap()
}

/// What a command has written. Fails the test unless it ended well.
#[track_caller]
fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{:?}: {out}{err}", output.status);
    out.into_owned()
}

/// The texts in a list.
fn texts(list: &Value) -> Vec<String> {
    let all = list.as_array().into_iter().flatten();
    all.map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Gives a file or directory this owner, group and mode.
fn give(path: &Path, owner: u32, group: u32, mode: u32) {
    chown(path, Some(owner), Some(group)).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Waits until a command in the container ends well.
async fn becomes_healthy(container: &Container, check: &[String]) {
    wait_until("the container is healthy", async || {
        container.execute(check).status.success().then_some(())
    })
    .await;
}

/// Fails the test unless the process has no privilege, can't get one, and can't write its root directory.
fn assert_unprivileged(container: &Container, user: u32, group: u32) {
    assert_eq!(
        container.status("Uid").split_whitespace().next(),
        Some(&*user.to_string())
    );
    assert_eq!(
        container.status("Gid").split_whitespace().next(),
        Some(&*group.to_string())
    );
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(container.status(set), "0000000000000000", "{set}");
    }
    assert_eq!(container.status("NoNewPrivs"), "1");
    let mounts = std::fs::read_to_string(format!("/proc/{}/mountinfo", container.process().id())).unwrap();
    let root = mounts
        .lines()
        .find(|line| line.split_whitespace().nth(4) == Some("/"))
        .unwrap();
    assert_eq!(
        root.split_whitespace().nth(5).unwrap().split(',').next(),
        Some("ro"),
        "{root}"
    );
}

#[test]
fn the_files_fit_the_schemas_of_those_who_read_them() {
    let mut script = Command::new(repository().join("scripts/manifests"));
    said(&script.arg("check").output().unwrap());
}
