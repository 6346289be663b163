//! One partition at work: the pure [`Partition`] between its two connections to Redis. What it makes of each event that is
//! the daemon's to do comes out as effects; calls and questions are carried out here.

use std::pin::Pin;
use std::sync::Arc;

use presence::Mono;
use presence::replication::{Answer, Call, ConnectionNumber, Effect, Input, Partition, Question, Reply};

use super::inbox::Inbox;
use super::link::{Link, LinkError};
use super::servers::RedisServers;

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A call that was answered, with the connection if it is still good.
type Called = (ConnectionNumber, Option<(Link, Answer)>);
/// A question that was answered, with the connection if it is still good.
type Asked = (u64, Option<(Link, Reply)>);

/// What happened to a partition.
#[derive(Debug)]
pub(crate) enum Event {
    /// A call was answered, or failed.
    Called(ConnectionNumber, Option<Answer>),
    /// A question was answered, or failed.
    Asked(u64, Option<Reply>),
    /// Something happened on this node.
    Here,
    /// A deadline has come.
    Deadline,
}

/// The connections of one partition, and what is under way on them.
pub(crate) struct Runner {
    number: u16,
    servers: Arc<RedisServers>,
    inbox: Arc<Inbox>,
    /// The publisher's connection that is idle.
    publisher: Option<(ConnectionNumber, Link)>,
    call: Option<Work<Called>>,
    /// The follower's connection that is idle.
    follower: Option<(u64, Link)>,
    question: Option<Work<Asked>>,
}

impl Runner {
    pub(crate) fn new(number: u16, servers: Arc<RedisServers>, inbox: Arc<Inbox>) -> Self {
        Self {
            number,
            servers,
            inbox,
            publisher: None,
            call: None,
            follower: None,
            question: None,
        }
    }

    /// The next event. `until` is when a deadline comes, `now` is the monotonic clock.
    pub(crate) async fn next(&mut self, now: Mono, until: Mono) -> Event {
        tokio::select! {
            (number, done) = under_way(&mut self.call) => {
                self.call = None;
                let (link, answer) = done.unzip();
                self.publisher = link.map(|link| (number, link));
                Event::Called(number, answer)
            }
            (generation, done) = under_way(&mut self.question) => {
                self.question = None;
                let (link, reply) = done.unzip();
                self.follower = link.map(|link| (generation, link));
                Event::Asked(generation, reply)
            }
            () = self.inbox.some() => Event::Here,
            () = tokio::time::sleep(until.since(now)) => Event::Deadline,
        }
    }

    /// Lets the partition take the event, carries out what it asks of Redis, and gives what it asks of the daemon, and whether
    /// nothing waits for the partition any more.
    pub(crate) fn handle(&mut self, partition: &mut Partition, input: Input<'_>, event: Event) -> (Vec<Effect>, bool) {
        match event {
            Event::Called(number, answer) => partition.handle_answer(input, number, answer),
            Event::Asked(generation, reply) => partition.handle_reply(input, generation, reply),
            Event::Here => {}
            Event::Deadline => partition.on_deadline(input),
        }
        let is_all = self.inbox.empty_into(partition, input);
        (self.carry_out(partition.take_effects()), is_all)
    }

    /// Carries out the calls and questions among the effects; the others are the daemon's.
    pub(crate) fn carry_out(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        let mut others = Vec::with_capacity(effects.len());
        for effect in effects {
            match effect {
                Effect::Call { connection, call } => self.call(connection, call),
                Effect::Ask { generation, question } => self.ask(generation, question),
                other => others.push(other),
            }
        }
        others
    }

    fn call(&mut self, number: ConnectionNumber, call: Call) {
        let idle = self.publisher.take().filter(|(of, _)| *of == number);
        let (servers, partition) = (Arc::clone(&self.servers), self.number);
        // What was under way on an older connection is dropped with it.
        self.call = Some(Box::pin(async move {
            let called = async {
                let mut link = match idle {
                    Some((_, link)) => link,
                    None => servers.open(partition).await?,
                };
                let answer = link.call(&call).await?;
                Ok::<_, LinkError>((link, answer))
            };
            (number, done(called.await, &servers, partition))
        }));
    }

    fn ask(&mut self, generation: u64, question: Question) {
        let idle = self.follower.take().filter(|(of, _)| *of == generation);
        let (servers, partition) = (Arc::clone(&self.servers), self.number);
        self.question = Some(Box::pin(async move {
            let asked = async {
                let mut link = match idle {
                    Some((_, link)) => link,
                    None => servers.open(partition).await?,
                };
                let reply = link.query(question).await?;
                Ok::<_, LinkError>((link, reply))
            };
            (generation, done(asked.await, &servers, partition))
        }));
    }
}

/// The outcome of what is under way; never, if nothing is.
async fn under_way<T>(work: &mut Option<Work<T>>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// The outcome, or none after an error, which is logged.
fn done<T>(outcome: Result<T, LinkError>, servers: &RedisServers, partition: u16) -> Option<T> {
    outcome
        .inspect_err(|error| {
            servers.lose(partition);
            tracing::debug!(partition, %error, "no answer from Redis");
        })
        .ok()
}
