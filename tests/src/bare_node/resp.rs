//! As much of the protocol of Redis (RESP2) as a bare node needs: one command, and its answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

pub(super) struct Connection(BufReader<UnixStream>);

impl Connection {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(BufReader::new(stream))
    }

    /// Sends a command, and reads the answer: its strings. An error fails.
    pub(super) fn call(&mut self, words: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend(*word);
            bytes.extend(b"\r\n");
        }
        self.0.get_mut().write_all(&bytes).unwrap();
        let mut parts = Vec::new();
        self.read(&mut parts);
        parts
    }

    fn read(&mut self, parts: &mut Vec<Vec<u8>>) {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        match (kind, rest.parse::<i64>()) {
            ("*", Ok(count)) => (0..count).for_each(|_| self.read(parts)),
            ("$", Ok(length @ 0..)) => {
                let mut text = vec![0; usize::try_from(length).unwrap() + 2];
                self.0.read_exact(&mut text).unwrap();
                text.truncate(text.len() - 2);
                parts.push(text);
            }
            ("$", Ok(_)) => parts.push(Vec::new()),
            ("+", _) | (":", Ok(_)) => parts.push(rest.as_bytes().to_vec()),
            _ => panic!("{line}"),
        }
    }
}
