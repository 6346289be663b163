//! Logging to stderr through a bounded queue and a thread of its own, so that a blocked or closed pipe stalls no other thread.
//! Lines that don't fit are dropped and counted, and the count is logged once there is room again.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogFormat;
use crate::request_id;
use crate::vital;

/// Capacity of the queue in lines: about a second at the highest rate of logging.
const LINES_MAX: usize = 8192;
/// How long the end of the process waits for the last lines: a pipe that is blocked does not keep it from ending.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(crate) struct LogMetrics {
    dropped: Counter,
}

impl LogMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let dropped = Counter::default();
        registry.register(
            "log_lines_dropped",
            "Log lines dropped because stderr was blocked",
            dropped.clone(),
        );
        Self { dropped }
    }
}

/// Changes the lowest level that is logged.
pub(crate) struct LogLevel {
    set: Box<dyn Fn(EnvFilter) + Send + Sync>,
}

impl LogLevel {
    pub(crate) fn set(&self, level: tracing::Level) {
        (self.set)(filter(level));
    }
}

/// Starts logging for the whole process.
///
/// # Errors
/// The thread that writes can't be started.
pub(crate) fn start(
    format: LogFormat,
    level: tracing::Level,
    metrics: LogMetrics,
) -> io::Result<(LogLevel, LastLines)> {
    let lines = LogQueue::start(io::stderr(), metrics)?;
    let last_lines = LastLines(lines.clone());
    let subscriber = tracing_subscriber::fmt().with_writer(lines).with_target(false);
    // Reloading fails only once the subscriber is gone, and it stays for as long as the process.
    let level = match format {
        LogFormat::Text => {
            let subscriber = subscriber.with_ansi(false).map_event_format(OfRequest::text);
            let subscriber = subscriber.with_env_filter(filter(level));
            let subscriber = subscriber.with_filter_reloading();
            let handle = subscriber.reload_handle();
            subscriber.init();
            LogLevel {
                set: Box::new(move |filter| drop(handle.reload(filter))),
            }
        }
        LogFormat::Json => {
            let subscriber = subscriber.json().flatten_event(true).map_event_format(OfRequest::json);
            let subscriber = subscriber.with_env_filter(filter(level));
            let subscriber = subscriber.with_filter_reloading();
            let handle = subscriber.reload_handle();
            subscriber.init();
            LogLevel {
                set: Box::new(move |filter| drop(handle.reload(filter))),
            }
        }
    };
    Ok((level, last_lines))
}

/// Lines that a request causes end with its id. Not a span: one would cost every request, and few log anything.
struct OfRequest<F> {
    lines: F,
    append: fn(&mut String, &str),
}

impl<F> OfRequest<F> {
    fn text(lines: F) -> Self {
        let append = |line: &mut String, id: &str| line.push_str(&format!(" request_id={id:?}"));
        Self { lines, append }
    }

    fn json(lines: F) -> Self {
        let append = |line: &mut String, id: &str| {
            if line.pop() == Some('}') {
                line.push_str(&format!(",\"request_id\":{}}}", serde_json::Value::from(id)));
            }
        };
        Self { lines, append }
    }
}

impl<S, N, F> FormatEvent<S, N> for OfRequest<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(id) = request_id::text() else {
            return self.lines.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.lines.format_event(context, Writer::new(&mut line), event)?;
        let end = line.trim_end_matches('\n').len();
        line.truncate(end);
        (self.append)(&mut line, &id);
        writeln!(writer, "{line}")
    }
}

/// The end of the process waits for what was logged before.
pub(crate) struct LastLines(LogQueue);

impl LastLines {
    /// Returns when all lines are written, or can't be within a second.
    pub(crate) fn wait(&self) {
        let (written, lines) = sync_channel(1);
        if self.0.queue.try_send(Queued::Mark(written)).is_ok() {
            let _ = lines.recv_timeout(LAST_LINES_WITHIN);
        }
    }
}

fn filter(level: tracing::Level) -> EnvFilter {
    EnvFilter::default().add_directive(LevelFilter::from_level(level).into())
}

/// What is in the queue.
enum Queued {
    Line(Vec<u8>),
    /// All lines before are written when this is dropped.
    Mark(#[expect(dead_code, reason = "dropped")] SyncSender<()>),
}

/// The queue of log lines for stderr.
#[derive(Clone)]
struct LogQueue {
    queue: SyncSender<Queued>,
    /// Lines dropped since the last one that fit.
    dropped: Arc<AtomicU64>,
    metrics: LogMetrics,
}

impl LogQueue {
    fn start(mut out: impl Write + Send + 'static, metrics: LogMetrics) -> io::Result<Self> {
        let (queue, queued): (_, Receiver<Queued>) = sync_channel(LINES_MAX);
        vital::start_thread("log", move || {
            for one in queued {
                let Queued::Line(line) = one else { continue };
                // A closed pipe does not end the thread: a named pipe may get a reader again.
                let _ = out.write_all(&line).and_then(|()| out.flush());
            }
        })?;
        Ok(Self {
            queue,
            dropped: Arc::default(),
            metrics,
        })
    }

    fn put(&self, line: Vec<u8>) {
        if self.queue.try_send(Queued::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.metrics.dropped.inc();
            return;
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0
            && self
                .queue
                .try_send(Queued::Line(format!("{dropped} log lines were dropped\n").into_bytes()))
                .is_err()
        {
            self.dropped.fetch_add(dropped, Ordering::Relaxed);
        }
    }
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = LogLine<'a>;

    fn make_writer(&'a self) -> LogLine<'a> {
        LogLine {
            lines: self,
            bytes: Vec::new(),
        }
    }
}

/// One line that is being formatted; put into the queue as a whole.
struct LogLine<'a> {
    lines: &'a LogQueue,
    bytes: Vec<u8>,
}

impl Write for LogLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine<'_> {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.lines.put(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Takes one line for each message in `allow`, and fails once `allow` is closed.
    struct MeteredWriter {
        allow: mpsc::Receiver<()>,
        seen: mpsc::Sender<Vec<u8>>,
    }

    impl Write for MeteredWriter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.allow
                .recv()
                .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            let _ = self.seen.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines() -> (LogQueue, mpsc::Sender<()>, mpsc::Receiver<Vec<u8>>) {
        let (allow, allowed) = mpsc::channel();
        let (seen, seeing) = mpsc::channel();
        let metrics = LogMetrics::register(&mut Registry::default());
        (
            LogQueue::start(MeteredWriter { allow: allowed, seen }, metrics).expect("a thread"),
            allow,
            seeing,
        )
    }

    #[test]
    fn a_blocked_pipe_drops_lines_and_logs_how_many() {
        let (lines, allow, seen) = lines();
        let extra = 100;
        for number in 0..LINES_MAX + extra {
            lines.put(format!("line {number}\n").into_bytes());
        }
        // The writer may hold one line outside the queue.
        let dropped = lines.metrics.dropped.get();
        assert!((extra as u64 - 1..=extra as u64).contains(&dropped), "{dropped}");
        for _ in 0..LINES_MAX {
            allow.send(()).expect("a writer");
        }
        let next = || seen.recv_timeout(Duration::from_secs(20)).expect("a line");
        (0..LINES_MAX - 1).for_each(|_| drop(next()));
        lines.put(b"after\n".to_vec());
        (0..8).for_each(|_| allow.send(()).expect("a writer"));
        let report = format!("{dropped} log lines were dropped\n").into_bytes();
        assert!((0..4).any(|_| next() == report), "the loss was not logged");
    }

    #[test]
    fn the_end_of_the_process_waits_for_lines_and_not_for_a_blocked_pipe() {
        let (lines, allow, seen) = lines();
        let last = LastLines(lines.clone());
        (0..100).for_each(|_| allow.send(()).expect("a writer"));
        (0..100).for_each(|_| lines.put(b"line\n".to_vec()));
        last.wait();
        assert_eq!(seen.try_iter().count(), 100);
        lines.put(b"line\n".to_vec());
        last.wait();
        assert_eq!(seen.try_iter().count(), 0, "blocked");
    }

    #[test]
    fn a_closed_pipe_blocks_no_logging() {
        let (lines, allow, _seen) = lines();
        drop(allow);
        for number in 0..10 * LINES_MAX {
            lines.put(format!("line {number}\n").into_bytes());
        }
    }
}
