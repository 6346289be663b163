//! One connection to Redis about one partition. Everything is answered within a limit of time; whatever is not an answer of a
//! script or command of ours ends the connection, and its owner opens another one. The library's own retries and reconnects
//! are not used: they hide what was lost, wait for longer than a call may, and have stopped without an error.

use std::time::Duration;

use presence::replication::{Answer, Call, PAGE_FIELDS, Question, READ_ENTRIES_MAX, READ_WAIT, Reply};
use presence::{CustomStatus, UserId};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, Value};

use super::answers::{self, UnexpectedAnswer};
use super::keys::Keys;
use super::scripts::{Script, ScriptRun};
use super::servers::connect;
use crate::data_dir::DataDirError;

/// For how long a connection may take to be established. A silent peer is found so.
pub(super) const CONNECTS_WITHIN: Duration = Duration::from_secs(1);
/// A call that takes longer has failed: the partition is unreachable then (2 s).
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// How long a server is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnswerTimes {
    pub(super) connects_within: Duration,
    pub(super) answers_within: Duration,
}

impl Default for AnswerTimes {
    fn default() -> Self {
        Self {
            connects_within: CONNECTS_WITHIN,
            answers_within: ANSWERS_WITHIN,
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// Another server of the cluster has the partition now.
    #[error("another server has the partition: {0}")]
    Moved(RedisError),
    /// There are several addresses, and what is there is no cluster.
    #[error("several addresses, and at least one is no server of a Redis Cluster")]
    NoCluster,
    #[error("--redis-password-file: {0}")]
    Password(#[from] DataDirError),
    /// No server of the cluster has the partition, or none is known.
    #[error("no server of Redis has the partition")]
    NoServer,
    /// Anything that is not an answer: a timeout, an end of the connection, or an error that is not a script's own.
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error(transparent)]
    Unexpected(#[from] UnexpectedAnswer),
}

/// A connection about one partition. After an error it is of no further use.
#[derive(Debug)]
pub(super) struct Link {
    connection: MultiplexedConnection,
    keys: Keys,
    /// The digests under which the server knows the scripts.
    digests: Vec<String>,
}

impl Link {
    /// Connects, and gives the server the scripts.
    pub(super) async fn open(client: &redis::Client, keys: Keys, times: AnswerTimes) -> Result<Self, LinkError> {
        let mut link = Self {
            connection: connect(client, times).await?,
            keys,
            digests: Vec::new(),
        };
        link.load_scripts().await?;
        Ok(link)
    }

    async fn load_scripts(&mut self) -> Result<(), LinkError> {
        self.digests.clear();
        for script in Script::ALL {
            let mut load = redis::cmd("SCRIPT");
            load.arg("LOAD").arg(script.source());
            self.digests.push(load.query_async(&mut self.connection).await?);
        }
        Ok(())
    }

    /// Runs the script of the call.
    pub(super) async fn call(&mut self, call: &Call) -> Result<Answer, LinkError> {
        let answered = match self.run(call).await {
            // The scripts were flushed; nothing was run.
            Err(error) if error.code() == Some("NOSCRIPT") => {
                self.load_scripts().await?;
                self.run(call).await
            }
            answered => answered,
        };
        match answered {
            Ok(value) => Ok(answers::answer(call, value)?),
            Err(error) if error.code() == Some("NOTREGISTERED") => Ok(Answer::NotRegistered),
            Err(error) => Err(error_of(error)),
        }
    }

    async fn run(&mut self, call: &Call) -> Result<Value, RedisError> {
        let run = ScriptRun::of(call, &self.keys);
        let digest = self.digests.get(run.script as usize).map(String::as_str);
        let mut command = redis::cmd("EVALSHA");
        command
            .arg(digest.unwrap_or_default())
            .arg(run.keys.len())
            .arg(&run.keys);
        for argument in &run.arguments {
            command.arg(argument.as_slice());
        }
        command.query_async(&mut self.connection).await
    }

    /// Asks for entries, the head, or a page.
    pub(super) async fn query(&mut self, query: Question) -> Result<Reply, LinkError> {
        let command = self.command_of(query);
        let value: Value = command.query_async(&mut self.connection).await.map_err(error_of)?;
        match query {
            Question::Read { .. } => Ok(answers::entries(value)?),
            Question::Head => Ok(answers::head(value)?),
            Question::Page { .. } => Ok(Reply::Page(answers::page(value)?)),
        }
    }

    /// The custom status that is listed of a user.
    pub(super) async fn custom_status(&mut self, user: &UserId) -> Result<Option<CustomStatus>, LinkError> {
        let mut command = redis::cmd("HGET");
        command.arg(&self.keys.custom_status).arg(user.as_str());
        let listed: Option<String> = command.query_async(&mut self.connection).await.map_err(error_of)?;
        Ok(listed.and_then(|listed| listed.parse().ok()))
    }

    fn command_of(&self, query: Question) -> Cmd {
        let mut command;
        match query {
            Question::Read { after } => {
                command = redis::cmd("XREAD");
                command.arg("COUNT").arg(READ_ENTRIES_MAX);
                command
                    .arg("BLOCK")
                    .arg(u64::try_from(READ_WAIT.as_millis()).unwrap_or(u64::MAX));
                command
                    .arg("STREAMS")
                    .arg(&self.keys.log)
                    .arg(format!("{}-0", after.get()));
            }
            Question::Head => {
                command = redis::cmd("HMGET");
                command.arg(&self.keys.state).arg("\u{1}h").arg("\u{1}e");
            }
            Question::Page { place } => {
                command = redis::cmd("HSCAN");
                command.arg(&self.keys.state).arg(place).arg("COUNT").arg(PAGE_FIELDS);
            }
        }
        command
    }
}

fn error_of(error: RedisError) -> LinkError {
    match error.code() {
        Some("MOVED") => LinkError::Moved(error),
        _ => LinkError::Redis(error),
    }
}
