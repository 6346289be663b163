//! Nodes of a cluster whose listeners speak TLS: they ask each other over it, and verify each other.

use presence_tests::certificates::Certificates;
use presence_tests::ports::free_port;
use presence_tests::tls_tunnel::TlsTunnel;
use presence_tests::websocket::HandshakeHeaders;
use presence_tests::{Cluster, Daemon, Rest, Socket, wait_until};

/// Starts a node with TLS that is reached as `host`.
async fn start(cluster: &Cluster, certificates: &Certificates, name: &str, host: &str) -> (Daemon, TlsTunnel) {
    let port = free_port();
    let own = certificates.flags();
    let advertise = format!("https://{host}:{port}");
    let flags: Vec<&str> = own
        .iter()
        .map(String::as_str)
        .chain(["--advertise", &advertise])
        .collect();
    let node = cluster
        .start_listening_on(&format!("127.0.0.1:{port}"), name, &flags)
        .await;
    let tunnel = TlsTunnel::start(node.address(), certificates.client()).await;
    (node, tunnel)
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_tls_ask_each_other_and_verify_each_other_by_name() {
    let cluster = Cluster::start(&[]).await;
    let certificates = Certificates::new();
    certificates.issue(|params| {
        *params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    });
    // The chain names who signed it, which is whom a node trusts.
    let text = |name| std::fs::read_to_string(certificates.path(name)).unwrap();
    certificates.write("cert.pem", &(text("cert.pem") + &text("ca.pem")));
    let (_d, to_d) = start(&cluster, &certificates, "d", "localhost").await;
    let (e, to_e) = start(&cluster, &certificates, "e", "localhost").await;
    let (_f, to_f) = start(&cluster, &certificates, "f", "127.0.0.1").await;
    let alice = Socket::connect(to_d.address(), HandshakeHeaders::user("alice"))
        .await
        .unwrap();
    let _bob = Socket::connect(to_f.address(), HandshakeHeaders::user("bob"))
        .await
        .unwrap();
    let rest = Rest::new(to_e.address(), e.secret());
    wait_until("the node of the same CA lists the session", async || {
        let explain = rest.explain("alice").await;
        let is_hers = explain.sessions.iter().any(|one| one.session_id == alice.session);
        is_hers.then_some(())
    })
    .await;
    let error_of = async |rest: &Rest, user: &str, node: &str| {
        let explain = rest.explain(user).await;
        let told = explain.nodes.into_iter().find(|one| one.node == node)?;
        told.error
    };
    let plain = cluster.a.rest();
    wait_until("a node that does not know who signed it says so", async || {
        let error = error_of(&plain, "alice", "d").await?;
        error.contains("UnknownIssuer").then_some(())
    })
    .await;
    wait_until("a certificate for another name is not accepted", async || {
        let error = error_of(&rest, "bob", "f").await?;
        error.contains("not valid for name").then_some(())
    })
    .await;
}
