//! What the machine keeps, and what it does not take.

use std::sync::Arc;

use super::Files;
use crate::tls::TlsMachine;

fn machine() -> TlsMachine {
    TlsMachine::new(Arc::clone(Files::new().identity().config())).unwrap()
}

fn feed(machine: &mut TlsMachine, bytes: &[u8]) -> std::io::Result<usize> {
    machine.read(|room| {
        room[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    })
}

/// A record with a handshake message of this kind whose length is said to be so many bytes, and the first of them.
fn record(kind: u8, length: [u8; 3], rest: usize) -> Vec<u8> {
    let fragment = [&[kind][..], &length, &vec![0; rest]].concat();
    let size = u16::try_from(fragment.len()).unwrap().to_be_bytes();
    [&[22, 3, 1][..], &size, &fragment].concat()
}

#[test]
fn a_message_that_never_ends_is_refused_before_it_needs_memory() {
    // A client hello and a certificate, as long as rustls takes them, in records of a kilobyte.
    for kind in [1, 11] {
        let mut machine = machine();
        let mut taken = 0;
        let mut next = record(kind, [0, 0xff, 0xff], 1000);
        while let Ok(count) = feed(&mut machine, &next) {
            taken += count;
            assert!(taken < 64 * 1024, "{taken}");
            next = [&[22, 3, 1, 4, 0][..], &[0; 1024]].concat();
        }
        assert!(taken > 4 * 1024, "{taken}");
        assert!(machine.encrypt(b"x").is_err());
    }
    assert!(feed(&mut machine(), &record(1, [0xff; 3], 4)).is_err(), "16 MiB");
}

#[test]
fn garbage_in_a_handshake_is_answered_with_an_alert() {
    for bytes in [
        record(1, [0, 0, 4], 4),
        record(2, [0, 0, 4], 4),
        // A certificate, for which nobody asked.
        record(11, [0, 0, 4], 4),
        vec![22, 3, 1, 0xff, 0xff, 0],
        vec![23, 3, 3, 0, 1, 0],
    ] {
        let mut machine = machine();
        let error = feed(&mut machine, &bytes).expect_err("an error");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{bytes:?}");
        let alert = machine.outgoing();
        assert_eq!(
            (alert.first(), alert.get(5)),
            (Some(&21), Some(&2)),
            "{bytes:?}: a fatal alert, not {alert:?}"
        );
        assert!(machine.encrypt(b"x").is_err(), "nothing is sent after it");
    }
}

#[test]
fn a_hello_is_put_together_byte_by_byte() {
    let mut machine = machine();
    for byte in record(1, [0, 1, 0], 100) {
        assert_eq!(feed(&mut machine, &[byte]).unwrap(), 1);
    }
    assert!(machine.is_handshaking() && machine.outgoing().is_empty());
}
