//! `man`: prints the man page; without a command, that of the tool with a section per command.

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::Session;
use crate::cli::Cli;
use crate::failure::Failure;
use crate::output::escape::quote;

/// What a page is of, in its last line.
const SOURCE: &str = concat!("presencectl ", env!("CARGO_PKG_VERSION"));

pub(super) fn run(session: &mut Session, name: Option<&str>) -> Result<(), Failure> {
    let mut cli = Cli::command();
    cli.build();
    let mut page = Vec::new();
    match name {
        None => full_page(&cli, &mut page)?,
        Some(name) => {
            let command = cli.find_subcommand(name).ok_or_else(|| {
                let names: Vec<_> = cli.get_subcommands().map(Command::get_name).collect();
                Failure::usage(format_args!("no such command: {}", quote(name)))
                    .next(format_args!("commands: {}", names.join(", ")))
            })?;
            let title = format!("presencectl-{name}");
            Man::new(command.clone())
                .title(title)
                .source(SOURCE)
                .render(&mut page)?;
        }
    }
    session.output.text(&format_page(&String::from_utf8_lossy(&page)))
}

/// Renames the extra sections to NOTES, and keeps the line breaks of examples.
fn format_page(page: &str) -> String {
    let mut formatted = String::with_capacity(page.len());
    let mut in_examples = false;
    for line in page.lines() {
        if in_examples && line.starts_with('.') {
            formatted.push_str(".fi\n");
            in_examples = false;
        }
        match line {
            ".SH EXTRA" => formatted.push_str(".SH NOTES"),
            ".SS EXTRA" => formatted.push_str(".SS NOTES"),
            "Examples:" => {
                formatted.push_str(".nf\nExamples:");
                in_examples = true;
            }
            line => formatted.push_str(line),
        }
        formatted.push('\n');
    }
    if in_examples {
        formatted.push_str(".fi\n");
    }
    formatted
}

fn full_page(cli: &Command, page: &mut Vec<u8>) -> Result<(), Failure> {
    Man::new(cli.clone()).render(page)?;
    for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
        // They are at the top of the page already.
        let own = command.clone().mut_args(|arg| {
            let global = arg.is_global_set();
            arg.hide(global)
        });
        let man = Man::new(own);
        page.extend_from_slice(format!(".SH {}\n", command.get_name().to_uppercase()).as_bytes());
        let mut section = Vec::new();
        man.render_synopsis_section(&mut section)?;
        man.render_options_section(&mut section)?;
        if command.has_subcommands() {
            man.render_subcommands_section(&mut section)?;
        }
        man.render_extra_section(&mut section)?;
        // Sections of a command are subsections of the page.
        page.extend_from_slice(String::from_utf8_lossy(&section).replace(".SH ", ".SS ").as_bytes());
    }
    Ok(())
}
