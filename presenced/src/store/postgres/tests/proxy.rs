//! A network between the store and the server that loses what a test wants lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What happens to a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Network {
    Works,
    /// The next commit reaches the server, and its answer is lost with the connection.
    LosesAnswer,
    /// The same, and then the network is down.
    LosesAnswerAndBreaks,
    /// The next commit is lost with the connection.
    LosesNextCommit,
    /// Each commit is lost with its connection.
    LosesCommits,
    /// Nothing passes from the next commit on, and nobody is told.
    SwallowsCommit,
    /// The same from the setting up of a connection that reads.
    SwallowsReader,
    /// The same from the setting up of a connection that writes, when it has the lock.
    SwallowsWriter,
    /// Nothing passes any more, and nobody is told.
    SwallowsAll,
    /// No connection can be made, and those that there are end.
    Down,
}

pub(super) struct Proxy {
    port: u16,
    network: Arc<AtomicU8>,
    /// How many commits pass before the one that is lost.
    passing: Arc<AtomicUsize>,
}

impl Proxy {
    pub(super) async fn before(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let network = Arc::new(AtomicU8::new(Network::Works as u8));
        let passing = Arc::new(AtomicUsize::new(0));
        let (state, before) = (Arc::clone(&network), Arc::clone(&passing));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if state.load(Ordering::SeqCst) == Network::Down as u8 {
                    continue;
                }
                let server = TcpStream::connect(("127.0.0.1", server_port)).await.unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&state), Arc::clone(&before)));
            }
        });
        Self { port, network, passing }
    }

    /// The same URL through this proxy.
    pub(super) fn url(&self, url: &str, server_port: u16) -> String {
        url.replace(&format!(":{server_port}/"), &format!(":{}/", self.port))
    }

    /// Lets so many commits pass first.
    pub(super) fn set_after(&self, commits: usize, network: Network) {
        self.passing.store(commits, Ordering::SeqCst);
        self.set(network);
    }

    pub(super) fn is(&self, network: Network) -> bool {
        self.network.load(Ordering::SeqCst) == network as u8
    }

    pub(super) fn set(&self, network: Network) {
        self.network.store(network as u8, Ordering::SeqCst);
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, network: Arc<AtomicU8>, passing: Arc<AtomicUsize>) {
    let (mut sent, mut answered) = ([0; 16_384], [0; 16_384]);
    let is = |state: Network| network.load(Ordering::SeqCst) == state as u8;
    loop {
        tokio::select! {
            length = client.read(&mut sent) => {
                let Ok(length @ 1..) = length else { return };
                let has = |text: &[u8]| sent[..length].windows(text.len()).any(|bytes| bytes == text);
                let may_pass = || passing.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
                let is_commit = has(b"COMMIT") && !may_pass();
                let is_swallowed = is(Network::SwallowsAll)
                    || is_commit && is(Network::SwallowsCommit)
                    || has(b"default_transaction_read_only") && is(Network::SwallowsReader)
                    || has(b"txid_current") && is(Network::SwallowsWriter);
                if is_commit && is(Network::LosesNextCommit) {
                    network.store(Network::Works as u8, Ordering::SeqCst);
                    return;
                }
                if is(Network::Down) || is_commit && is(Network::LosesCommits) {
                    return;
                }
                if is_swallowed {
                    // Both ends stay open.
                    return std::future::pending().await;
                }
                server.write_all(&sent[..length]).await.unwrap();
                if is_commit && (is(Network::LosesAnswer) || is(Network::LosesAnswerAndBreaks)) {
                    // It is done before its answer is thrown away.
                    let _ = server.read(&mut answered).await;
                    let next = if is(Network::LosesAnswer) { Network::Works } else { Network::Down };
                    network.store(next as u8, Ordering::SeqCst);
                    return;
                }
            }
            length = server.read(&mut answered) => {
                let Ok(length @ 1..) = length else { return };
                if is(Network::Down) || client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
