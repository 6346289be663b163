//! A real terminal: a tmux server of its own that runs a plain shell. Tests read the screen, and every byte that was
//! written from a file. Nothing here knows the programs that run in it.

use std::cell::Cell;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;

use crate::Daemon;
use crate::binaries;
use crate::presencectl;
use crate::process::{Process, children};
use crate::wait::{let_time_pass, wait_until};

/// The prompt of the shell. The programs under test don't print it.
const PROMPT: &str = "shell-waits$";

/// The pause after `Escape`: programs read `Escape` and another key within it as that key with Alt.
const AFTER_ESCAPE: Duration = Duration::from_millis(100);

/// No status line, no key bindings, no clipboard: the screen shows only the programs in it.
const CONFIGURATION: &str = "
set -g status off
set -g escape-time 0
set -g set-clipboard external
set -g history-limit 200
set -g default-shell /bin/sh
";

/// The size and type of a terminal.
#[derive(Debug, Clone, Copy)]
pub struct TerminalOptions {
    /// The columns and rows.
    pub size: (u16, u16),
    /// The value of `TERM`.
    pub term: &'static str,
}

impl TerminalOptions {
    /// A terminal of this size with 256 colours.
    pub const fn of(width: u16, height: u16) -> Self {
        Self {
            size: (width, height),
            term: "tmux-256color",
        }
    }
}

/// A terminal with a shell. Its tmux server ends when it is dropped.
#[derive(Debug)]
pub struct Terminal {
    dir: TempDir,
    /// The number of answer files, for their names.
    asked: Cell<u32>,
}

impl Terminal {
    /// Opens a terminal in which `presencectl` finds this daemon.
    pub async fn of(daemon: &Daemon, width: u16, height: u16) -> Self {
        Self::open(
            daemon.home().path(),
            presencectl::environment(daemon),
            TerminalOptions::of(width, height),
        )
        .await
    }

    /// Opens a terminal in this directory with this environment.
    pub async fn open(home: &Path, environment: Vec<(&'static str, OsString)>, look: TerminalOptions) -> Self {
        let dir = tempfile::Builder::new().prefix("presence-tmux-").tempdir().unwrap();
        let configuration = format!("{CONFIGURATION}set -g default-terminal {}\n", look.term);
        std::fs::write(dir.path().join("conf"), configuration).unwrap();
        let terminal = Self {
            dir,
            asked: Cell::new(0),
        };
        let mut start = terminal.tmux(&["new-session", "-d", "-s", "t"]);
        start.env_clear().envs(environment).env("LC_ALL", "C.UTF-8");
        let tool = binaries::presencectl().parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(tool).chain(std::env::split_paths(&path))).unwrap();
        start.env("PATH", path).env("PS1", format!("{PROMPT} "));
        start.args(["-x", &look.size.0.to_string(), "-y", &look.size.1.to_string()]);
        start.arg("-c").arg(home).arg("exec sh");
        succeed(start);
        let bytes = terminal.bytes();
        std::fs::write(&bytes, "").unwrap();
        terminal.run(&["pipe-pane", "-O", &format!("exec cat >>{}", bytes.display())]);
        terminal.prompt().await;
        terminal
    }

    pub fn line(&self, line: &str) {
        self.text(line);
        self.keys(&["Enter"]);
    }

    pub fn text(&self, text: &str) {
        self.run(&["send-keys", "-t", "t", "-l", "--", text]);
    }

    /// Presses these keys, by their tmux names: `Enter`, `Escape`, `Down`, `C-c`, `PPage`.
    pub fn keys(&self, keys: &[&str]) {
        self.run(&[&["send-keys", "-t", "t", "--"], keys].concat());
    }

    /// Presses these keys one by one, with a pause after `Escape`.
    pub async fn press(&self, keys: &[&str]) {
        for key in keys {
            self.keys(&[key]);
            if *key == "Escape" {
                let_time_pass(AFTER_ESCAPE).await;
            }
        }
    }

    /// Pastes this text, bracketed if the program enabled bracketed paste.
    pub fn paste(&self, text: &str) {
        self.run(&["set-buffer", "--", text]);
        self.run(&["paste-buffer", "-p", "-r", "-t", "t"]);
    }

    /// Clicks at a column and a row, counted from 0.
    pub fn click(&self, x: usize, y: usize) {
        self.mouse(0, x, y, 'M');
        self.mouse(0, x, y, 'm');
    }

    /// Scrolls the mouse wheel down by one step at a column and a row, counted from 0.
    pub fn wheel_down(&self, x: usize, y: usize) {
        self.mouse(65, x, y, 'M');
    }

    /// Scrolls the mouse wheel up by one step at a column and a row, counted from 0.
    pub fn wheel_up(&self, x: usize, y: usize) {
        self.mouse(64, x, y, 'M');
    }

    fn mouse(&self, button: u8, x: usize, y: usize, end: char) {
        let report = format!("\u{1b}[<{button};{};{}{end}", x + 1, y + 1);
        let bytes: Vec<String> = report.bytes().map(|byte| format!("{byte:x}")).collect();
        let mut args = vec!["send-keys", "-t", "t", "-H"];
        args.extend(bytes.iter().map(String::as_str));
        self.run(&args);
    }

    /// The text of the screen, one line per row.
    pub fn screen(&self) -> String {
        self.run(&["capture-pane", "-p", "-t", "t"])
    }

    /// The text of the screen with the control sequences of its styles.
    pub fn screen_with_styles(&self) -> String {
        self.run(&["capture-pane", "-p", "-e", "-N", "-t", "t"])
    }

    /// Waits until the screen satisfies the condition and returns it.
    pub async fn until(&self, what: &str, is_such: impl Fn(&str) -> bool) -> String {
        wait_until(what, async || {
            let screen = self.screen();
            is_such(&screen).then_some(screen)
        })
        .await
    }

    /// Waits until the screen contains this text and returns it.
    pub async fn shows(&self, text: &str) -> String {
        self.until(&format!("the screen shows {text:?}"), |screen| screen.contains(text))
            .await
    }

    /// Waits for the shell's prompt: the program has exited and left the alternate screen.
    pub async fn prompt(&self) {
        self.until("the shell waits", |screen| {
            screen
                .trim_end()
                .lines()
                .last()
                .is_some_and(|line| line.trim_end().ends_with(PROMPT))
        })
        .await;
    }

    /// Resizes the terminal.
    pub fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        self.run(&["resize-window", "-t", "t", "-x", &width, "-y", &height]);
    }

    /// Every byte written to the terminal so far, but for the last ones, perhaps: another process writes them into the file.
    pub fn output_so_far(&self) -> Vec<u8> {
        std::fs::read(self.bytes()).unwrap()
    }

    /// Every byte written to the terminal. The shell must be at its prompt.
    pub async fn whole_output(&self) -> Vec<u8> {
        self.ask_shell(":").await;
        self.output_up_to_answer().await
    }

    /// The bytes up to what the shell wrote behind its last answer.
    async fn output_up_to_answer(&self) -> Vec<u8> {
        let asked = self.answered();
        wait_until("all bytes are in the file", async || {
            let output = self.output_so_far();
            last_of(&output, asked.as_bytes()).is_some().then_some(output)
        })
        .await
    }

    /// The modes of the terminal and of its line discipline (`stty`). The shell must be at its prompt.
    pub async fn modes(&self) -> String {
        let flags = [
            "alternate_on",
            "cursor_flag",
            "insert_flag",
            "keypad_cursor_flag",
            "keypad_flag",
            "mouse_all_flag",
            "mouse_any_flag",
            "mouse_button_flag",
            "mouse_sgr_flag",
            "mouse_standard_flag",
            "mouse_utf8_flag",
            "origin_flag",
            "wrap_flag",
            "scroll_region_upper",
            "scroll_region_lower",
        ];
        let format: Vec<String> = flags.iter().map(|flag| format!("{flag}=#{{{flag}}}")).collect();
        let mut modes = self.run(&["display-message", "-p", "-t", "t", &format.join("\n")]);
        let line_discipline = self.ask_shell("stty -a").await;
        // tmux has no word for these.
        let output = self.output_up_to_answer().await;
        for mode in ["1004", "2004", "2026", "25", "1049"] {
            let (on, off) = (format!("\u{1b}[?{mode}h"), format!("\u{1b}[?{mode}l"));
            let (on, off) = (last_of(&output, on.as_bytes()), last_of(&output, off.as_bytes()));
            let shown_at_first = mode == "25";
            let is_on = if shown_at_first { on >= off } else { on > off };
            writeln!(modes, "private mode {mode}={is_on}").unwrap();
        }
        modes + &line_discipline
    }

    /// Runs a command in the shell and returns its output.
    pub async fn ask_shell(&self, command: &str) -> String {
        self.asked.set(self.asked.get() + 1);
        let file = self.dir.path().join(format!("said-{}", self.asked.get()));
        let file = file.display();
        let answered = self.answered();
        self.line(&format!(
            "clear; {command} >{file}.part 2>&1; mv {file}.part {file}; printf '{answered}\\r\\n'"
        ));
        let said = wait_until("the shell answers", async || {
            std::fs::read_to_string(file.to_string()).ok()
        })
        .await;
        self.prompt().await;
        said
    }

    /// Runs a command in the shell with its output on the screen.
    pub async fn ask_on_screen(&self, command: &str) {
        self.asked.set(self.asked.get() + 1);
        let file = self.dir.path().join(format!("ended-{}", self.asked.get()));
        self.line(&format!("{command}; >{}", file.display()));
        wait_until("the command ends", async || file.exists().then_some(())).await;
        self.prompt().await;
    }

    /// The foreground program of the shell.
    pub async fn program(&self) -> Process {
        let shell: u32 = self
            .run(&["display-message", "-p", "-t", "t", "#{pane_pid}"])
            .trim()
            .parse()
            .unwrap();
        wait_until("a program runs in the shell", async || {
            children(shell).into_iter().next().map(Process::of)
        })
        .await
    }

    /// What the shell writes behind its last answer.
    fn answered(&self) -> String {
        format!("answered-{}.", self.asked.get())
    }

    fn bytes(&self) -> PathBuf {
        self.dir.path().join("bytes")
    }

    fn tmux(&self, args: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-u").arg("-S").arg(self.dir.path().join("socket"));
        command.arg("-f").arg(self.dir.path().join("conf"));
        command.env_remove("TMUX").args(args);
        command
    }

    fn run(&self, args: &[&str]) -> String {
        succeed(self.tmux(args))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(Output { stdout, .. }) = self.tmux(&["capture-pane", "-p", "-t", "t"]).output()
        {
            let screen = String::from_utf8_lossy(&stdout);
            eprintln!("--- the screen ---\n{}\n--- end of the screen ---", screen.trim_end());
        }
        self.tmux(&["kill-server"]).output().ok();
    }
}

fn succeed(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command
        .output()
        .unwrap_or_else(|error| panic!("tmux: {error}; scripts/test installs it"));
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// The position of the last occurrence.
fn last_of(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).rposition(|window| window == wanted)
}
