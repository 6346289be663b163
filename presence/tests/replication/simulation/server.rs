//! The links to Redis, and Redis as it stops and starts.

use presence::replication::{Answer, Call, ConnectionNumber, Incarnation, Question, Reply};

use super::check_scripts::Actor;
use super::node::Delivery;
use super::world::{Event, Reader, SECOND, World};
use crate::model::{self, Server};

impl World {
    /// The time of Redis.
    pub(crate) fn server(&mut self) -> Server {
        let micros = self.now.saturating_add_signed(self.skew);
        self.max_time = self.max_time.max(micros);
        Server {
            micros,
            run: self.run,
            is_full: self.is_full,
        }
    }

    fn delay(&mut self) -> u64 {
        match self.is_planned {
            true => 1_000,
            false => self.rng.within(500, 3_000),
        }
    }

    pub(crate) fn send_call(&mut self, index: usize, partition: usize, connection: ConnectionNumber, call: Call) {
        let incarnation = self.nodes[index].incarnation;
        if !self.nodes[index].under_way.insert((partition, connection)) {
            self.fail(format!("S14: node {index} has two calls under way"));
        }
        let delay = self.delay();
        let event = Event::Call(index, incarnation, partition, connection, call);
        self.at(delay, event);
    }

    pub(crate) fn send_question(&mut self, index: usize, partition: usize, generation: u64, question: Question) {
        let incarnation = self.nodes[index].incarnation;
        let delay = self.delay();
        let event = Event::Ask(index, incarnation, partition, generation, question);
        self.at(delay, event);
    }

    pub(crate) fn handle_call(
        &mut self,
        from: (usize, Incarnation),
        partition: usize,
        connection: ConnectionNumber,
        call: Call,
    ) {
        let (index, incarnation) = from;
        let node = &mut self.nodes[index];
        let is_same = node.incarnation == incarnation;
        let mut held = if is_same { node.hold_publisher } else { 0 };
        if is_same && connection <= node.hold_calls.0 {
            held = held.max(node.hold_calls.1);
        }
        if held > self.now {
            let later = held - self.now + 1;
            return self.at(later, Event::Call(index, incarnation, partition, connection, call));
        }
        let run = self.run;
        let mut is_broken = !self.is_up;
        if is_same {
            let link = node.publisher_links.entry(partition).or_insert((connection, run));
            if link.0 < connection {
                *link = (connection, run);
            }
            // A connection does not outlive the server that it was opened to.
            is_broken |= link.0 == connection && link.1 != run;
        }
        let answer = match is_broken {
            true => None,
            false => Some(self.run_script(from, partition, &call)),
        };
        let delay = self.delay();
        let delivery = Delivery::Answer(partition, connection, answer);
        self.at(delay, Event::Deliver(index, incarnation, delivery));
    }

    fn run_script(&mut self, from: (usize, Incarnation), partition: usize, call: &Call) -> Answer {
        let server = self.server();
        let before = self.partitions[partition].clone();
        let answer = self.partitions[partition].call(server, call);
        if let Answer::Registered { epoch, .. } = &answer {
            let epoch = *epoch;
            self.graces.forget(partition, from.1);
            self.note(|| format!("  node {} registers in {epoch}", from.0));
        }
        let actor = Actor {
            node: from.0,
            incarnation: from.1,
            partition,
        };
        self.check_script(actor, &before, call, &answer);
        if self.partitions[partition].head != before.head {
            let heard = self.heard.entry((partition, from.1)).or_insert((0, 0));
            *heard = (heard.1, self.now);
        }
        if self.partitions[partition].head != before.head {
            self.wake_readers(partition);
        }
        answer
    }

    fn wake_readers(&mut self, partition: usize) {
        let nodes = &self.nodes;
        let waits = |reader: &Reader| reader.partition == partition && nodes[reader.node].frozen.is_none();
        let waiting = self.readers.iter().filter(|(_, reader)| waits(reader));
        let waiting: Vec<u64> = waiting.map(|(id, _)| *id).collect();
        for id in waiting {
            let after = self.readers[&id].after;
            let reply = self.partitions[partition].ask(Question::Read { after });
            if matches!(&reply, Reply::Entries(entries) if !entries.is_empty()) {
                let reader = self.readers.remove(&id).unwrap();
                self.reply(&reader, Some(reply));
            }
        }
    }

    pub(crate) fn handle_question(
        &mut self,
        from: (usize, Incarnation),
        partition: usize,
        generation: u64,
        question: Question,
    ) {
        let mut reader = Reader {
            node: from.0,
            incarnation: from.1,
            partition,
            generation,
            after: presence::Revision::NEVER,
        };
        if !self.is_up {
            return self.reply(&reader, None);
        }
        let frozen = self.nodes[from.0].frozen.as_ref();
        let reply = frozen.unwrap_or(&self.partitions)[partition].ask(question);
        match (question, &reply) {
            (Question::Read { after }, Reply::Entries(entries)) if entries.is_empty() => {
                reader.after = after;
                self.number += 1;
                let id = self.number;
                self.readers.insert(id, reader);
                self.at(SECOND, Event::ReadEnds(id));
            }
            _ => self.reply(&reader, Some(reply)),
        }
    }

    pub(crate) fn reply(&mut self, reader: &Reader, reply: Option<Reply>) {
        let delay = self.delay();
        let delivery = Delivery::Reply(reader.partition, reader.generation, reply);
        self.at(delay, Event::Deliver(reader.node, reader.incarnation, delivery));
    }

    pub(crate) fn stop_server(&mut self) {
        self.is_up = false;
        for (_, reader) in std::mem::take(&mut self.readers) {
            self.reply(&reader, None);
        }
    }

    pub(crate) fn start_server(&mut self, copy: Option<Vec<model::Partition>>) {
        if self.is_up {
            return;
        }
        self.note(|| format!("redis is back, {}", if copy.is_some() { "older" } else { "as it was" }));
        if let Some(copy) = copy {
            self.partitions = copy;
        }
        self.run += 1;
        self.is_up = true;
        self.history.clear();
    }

    pub(crate) fn keep_snapshot(&mut self) {
        if self.is_up {
            self.history.push_back((self.now, self.partitions.clone()));
            if self.history.len() > 10 {
                self.history.pop_front();
            }
        }
        self.take_cursor();
        self.at(SECOND / 5, Event::Snapshot);
    }
}
