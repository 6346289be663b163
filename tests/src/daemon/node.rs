//! One process of a daemon under test, from its start to its exit.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::LogTarget;
use crate::process::{OwnedChild, Process};
use crate::wait::{wait_until, within_deadline};

const FIRST_LINE: &str = "presenced listening on http";

/// The output of a daemon that exited instead of listening.
#[derive(Debug)]
pub struct StartFailure {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A process that listens; killed when this is dropped.
#[derive(Debug)]
pub(super) struct Node {
    child: OwnedChild,
    pub(super) address: SocketAddr,
}

impl Node {
    /// Starts a process and waits until it listens.
    pub(super) async fn start(
        mut command: Command,
        target: LogTarget,
        log: &Arc<Mutex<String>>,
    ) -> Result<Self, StartFailure> {
        let mut child = OwnedChild::spawn(&mut command);
        let mut lines = read_lines(child.stdout.take().unwrap());
        let logged = match target {
            LogTarget::Kept => Some(keep_log(child.stderr.take().unwrap(), Arc::clone(log))),
            // The child keeps the reading end, unread, until it is dropped.
            LogTarget::NeverRead => None,
            LogTarget::Closed => {
                drop(child.stderr.take());
                None
            }
        };
        let line = within_deadline("the daemon's first line, or its end", lines.recv()).await;
        let address = line
            .as_deref()
            .and_then(|line| line.strip_prefix(FIRST_LINE))
            .and_then(|line| line.split_once("://"))
            .map(|(_, address)| address.trim());
        if let Some(Ok(address)) = address.map(str::parse) {
            return Ok(Self { child, address });
        }
        let ended = wait_until("a daemon that fails to start exits", async || child.try_wait().unwrap());
        let status = ended.await;
        if let Some(logged) = logged {
            tokio::task::spawn_blocking(|| logged.join().unwrap()).await.unwrap();
        }
        Err(StartFailure {
            status,
            stdout: line.unwrap_or_default(),
            stderr: log.lock().unwrap().clone(),
        })
    }

    pub(super) fn process(&self) -> Process {
        Process::of(self.child.id())
    }

    pub(super) fn kill(&mut self) {
        self.child.end();
    }

    /// Waits for the exit.
    pub(super) async fn ended(&mut self) -> ExitStatus {
        wait_until("the daemon exits", async || self.child.try_wait().unwrap()).await
    }
}

fn read_lines(out: impl Read + Send + 'static) -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            sender.send(line).ok();
        }
    });
    receiver
}

fn keep_log(err: impl Read + Send + 'static, log: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(err).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    })
}
