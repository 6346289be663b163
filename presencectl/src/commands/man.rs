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
    session.output.text(&String::from_utf8_lossy(&page))
}

fn whole(cli: &Command, page: &mut Vec<u8>) -> Result<(), Failure> {
    Man::new(cli.clone()).render(page)?;
    for command in cli.get_subcommands() {
        let man = Man::new(command.clone());
        page.extend_from_slice(format!(".SH {}\n", command.get_name().to_uppercase()).as_bytes());
        let mut section = Vec::new();
        man.render_synopsis_section(&mut section)?;
        man.render_options_section(&mut section)?;
        man.render_extra_section(&mut section)?;
        // Sections of a command are subsections of the whole page.
        page.extend_from_slice(String::from_utf8_lossy(&section).replace(".SH ", ".SS ").as_bytes());
    }
    Ok(())
}
