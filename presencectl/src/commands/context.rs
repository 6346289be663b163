//! `context`: adds, lists, selects, removes and shows contexts.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Session;
use crate::cli::ContextAction;
use crate::client::server_url::ServerUrl;
use crate::context::{Context, Contexts, LOCAL, check_name};
use crate::failure::Failure;
use crate::output::escape::quote;
use crate::output::{Cell, Column, HumanOutput, Report, TypedRows};

const COLUMNS: [Column; 7] = [
    Column::needed("IN USE", "inUse"),
    Column::needed("NAME", "name"),
    Column::needed("SERVER", "server"),
    Column::needed("SECRET FILE", "secretFile"),
    Column::extra("CA FILE", "caFile"),
    Column::extra("TOKEN FILE", "tokenFile"),
    Column::extra("USER", "user"),
];

/// A context in the output.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContextRow<'a> {
    name: &'a str,
    in_use: bool,
    server: Option<&'a str>,
    secret_file: Option<&'a Path>,
    ca_file: Option<&'a Path>,
    token_file: Option<&'a Path>,
    user: Option<&'a str>,
}

#[derive(Serialize)]
struct ContextsDocument<'a> {
    contexts: &'a [ContextRow<'a>],
}

pub(super) fn run(session: &mut Session, action: &ContextAction) -> Result<(), Failure> {
    let (path, mut contexts) = session.finder.contexts()?;
    match action {
        ContextAction::Add { name, user, replace } => {
            check_name(name)?;
            if contexts.named.contains_key(name) && !replace {
                return Err(
                    Failure::usage(format_args!("the context {} already exists", quote(name)))
                        .next("use --replace to overwrite it"),
                );
            }
            let context = context_from_arguments(session, user.as_ref().map(|user| user.as_str().to_owned()))?;
            contexts.named.insert(name.clone(), context);
            contexts.save(&path)?;
            print_row(
                session,
                &contexts,
                name,
                &format!(
                    "context {} added; select it with `presencectl context use {name}`\n",
                    quote(name)
                ),
            )
        }
        ContextAction::List { names: alone } => {
            let names: Vec<_> = [LOCAL]
                .into_iter()
                .chain(contexts.named.keys().map(String::as_str))
                .collect();
            let text = alone.then(|| names.join("\n") + "\n");
            show(session, &contexts, &names, text.as_deref())
        }
        ContextAction::Use { name } => {
            contexts.current = match name.as_str() {
                LOCAL => None,
                name => contexts.get(name).map(|_| Some(name.to_owned()))?,
            };
            contexts.save(&path)?;
            print_row(session, &contexts, name, &format!("context {} selected\n", quote(name)))
        }
        ContextAction::Remove { name } => {
            contexts.get(name)?;
            let removed = contexts.clone();
            contexts.named.remove(name);
            if contexts.current.as_ref() == Some(name) {
                contexts.current = None;
            }
            contexts.save(&path)?;
            print_row(session, &removed, name, &format!("context {} removed\n", quote(name)))
        }
        ContextAction::Show { name } => {
            let name = name
                .clone()
                .or_else(|| contexts.current.clone())
                .unwrap_or_else(|| LOCAL.to_owned());
            if name != LOCAL {
                contexts.get(&name)?;
            }
            show(session, &contexts, &[&name], None)
        }
    }
}

/// The context given by the arguments, with absolute paths.
fn context_from_arguments(session: &Session, user: Option<String>) -> Result<Context, Failure> {
    let arguments = &session.finder.arguments;
    let server = arguments.server.clone().ok_or_else(|| {
        Failure::usage("a context needs a server").next("add --server URL, and --secret-file FILE or --token FILE")
    })?;
    ServerUrl::parse(&server)?;
    let absolute = |path: &Option<PathBuf>| path.as_ref().map(std::path::absolute).transpose();
    let invalid = |error: std::io::Error| Failure::usage(format_args!("can't make the path absolute: {error}"));
    Ok(Context {
        server,
        secret_file: absolute(&arguments.secret_file).map_err(invalid)?,
        ca_file: absolute(&arguments.ca_file).map_err(invalid)?,
        token: absolute(&arguments.token).map_err(invalid)?,
        user,
    })
}

fn print_row(session: &mut Session, contexts: &Contexts, name: &str, text: &str) -> Result<(), Failure> {
    show(session, contexts, &[name], Some(text))
}

fn show(session: &mut Session, contexts: &Contexts, names: &[&str], text: Option<&str>) -> Result<(), Failure> {
    let shown: Vec<_> = names.iter().map(|name| shown(contexts, name)).collect();
    let mut rows = TypedRows::new(&COLUMNS);
    for context in &shown {
        let text = |text: Option<&str>| text.map_or(Cell::Empty, |text| Cell::Hostile(text.to_owned()));
        let path =
            |path: Option<&Path>| path.map_or(Cell::Empty, |path| Cell::Hostile(path.to_string_lossy().into_owned()));
        rows.push(vec![
            Cell::Text(if context.in_use { "yes" } else { "" }.to_owned()),
            Cell::Hostile(context.name.to_owned()),
            text(context.server.or(Some("(data directory of this machine)"))),
            path(context.secret_file),
            path(context.ca_file),
            path(context.token_file),
            text(context.user),
        ]);
    }
    let report = Report {
        document: ContextsDocument { contexts: &shown },
        items: &shown,
        rows,
        human: match text {
            Some(text) => HumanOutput::Text(text.to_owned()),
            None => HumanOutput::Table {
                above: String::new(),
                below: String::new(),
            },
        },
    };
    session.output.show(crate::clock::wall(), &report)
}

fn shown<'a>(contexts: &'a Contexts, name: &'a str) -> ContextRow<'a> {
    let context = contexts.named.get(name);
    ContextRow {
        name,
        in_use: contexts.current.as_deref().unwrap_or(LOCAL) == name,
        server: context.map(|context| context.server.as_str()),
        secret_file: context.and_then(|context| context.secret_file.as_deref()),
        ca_file: context.and_then(|context| context.ca_file.as_deref()),
        token_file: context.and_then(|context| context.token.as_deref()),
        user: context.and_then(|context| context.user.as_deref()),
    }
}
