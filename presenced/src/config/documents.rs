//! `--completions` and `--man`: the completion script of a shell and the man page, made from the command line.

use clap::{Command, ValueHint};
use clap_complete::Shell;
use clap_mangen::Man;

use super::ConfigError;
use super::settings::SETTINGS;

pub(super) fn completions(command: Command, shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut with_values(command), "presenced", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

pub(super) fn man_page(command: Command) -> Result<String, ConfigError> {
    let mut page = Vec::new();
    let rendered = Man::new(with_values(command)).render(&mut page);
    rendered.map_err(|error| ConfigError(format!("can't make the man page: {error}")))?;
    let page = String::from_utf8_lossy(&page).replace(".SH EXTRA", ".SH NOTES");
    // A subcommand has no page of its own.
    Ok(page.replace(
        "presenced\\-import(1)",
        "presenced import (flags: presenced import \\-\\-help)",
    ))
}

/// The command line with the values that a setting can have. Their parsers are the table's, whose errors name the source.
fn with_values(command: Command) -> Command {
    SETTINGS.iter().fold(command, |command, setting| {
        command.mut_arg(setting.name, |arg| match setting.value {
            "FILE" => arg.value_hint(ValueHint::FilePath),
            "DIR" => arg.value_hint(ValueHint::DirPath),
            "FORMAT" => arg.value_parser(["text", "json"]),
            "LEVEL" => arg.value_parser(["error", "warn", "info", "debug", "trace"]),
            "" => arg,
            // Without it, shells complete the names of files.
            _ => arg.value_hint(ValueHint::Other),
        })
    })
}
