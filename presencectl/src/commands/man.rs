//! `man`: the man page on stdout. Without a command, the page of the tool with a section for each command.

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::Session;
use crate::cli::Cli;
use crate::failure::Failure;
use crate::output::escape::quote;

/// Prints it.
pub(super) fn run(session: &mut Session, name: Option<&str>) -> Result<(), Failure> {
    let mut cli = Cli::command();
    cli.build();
    let mut page = Vec::new();
    match name {
        None => whole(&cli, &mut page)?,
        Some(name) => {
            let command = cli.find_subcommand(name).ok_or_else(|| {
                let names: Vec<_> = cli.get_subcommands().map(Command::get_name).collect();
                Failure::usage(format_args!("no command {}", quote(name)))
                    .next(format_args!("there is {}", names.join(", ")))
            })?;
            let title = format!("presencectl-{name}");
            Man::new(command.clone()).title(title).render(&mut page)?;
        }
    }
    session.output.text(&dress(&String::from_utf8_lossy(&page)))
}

/// Gives the notes their name, and keeps the lines of the examples as they are.
fn dress(page: &str) -> String {
    let mut dressed = String::with_capacity(page.len());
    let mut in_examples = false;
    for line in page.lines() {
        if in_examples && line.starts_with('.') {
            dressed.push_str(".fi\n");
            in_examples = false;
        }
        match line {
            ".SH EXTRA" => dressed.push_str(".SH NOTES"),
            ".SS EXTRA" => dressed.push_str(".SS NOTES"),
            "Examples:" => {
                dressed.push_str(".nf\nExamples:");
                in_examples = true;
            }
            line => dressed.push_str(line),
        }
        dressed.push('\n');
    }
    if in_examples {
        dressed.push_str(".fi\n");
    }
    dressed
}

fn whole(cli: &Command, page: &mut Vec<u8>) -> Result<(), Failure> {
    Man::new(cli.clone()).render(page)?;
    for command in cli.get_subcommands() {
        // They stand at the top of the page already.
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
        // Sections of a command are subsections of the whole page.
        page.extend_from_slice(String::from_utf8_lossy(&section).replace(".SH ", ".SS ").as_bytes());
    }
    Ok(())
}
