//! `--print-config`: every setting as it holds, as TOML that could be the file, with where it comes from.

use super::settings::{Kind, SETTINGS};
use super::sources::{Found, Origin};

/// One line a setting. Secrets are never settings, only their files are.
pub(super) fn print(found: &Found) -> String {
    let mut lines = Vec::new();
    for setting in SETTINGS {
        let typed = found.values.get(setting.name);
        let texts = match (typed, setting.default) {
            (Some(typed), _) => typed.texts.clone(),
            (None, _) if setting.name == "data-dir" => {
                found.home.iter().map(|path| path.display().to_string()).collect()
            }
            (None, "") => Vec::new(),
            (None, default) => vec![default.to_owned()],
        };
        let origin = typed.map_or(&Origin::Default, |typed| &typed.origin);
        let value = match (setting.kind, texts.as_slice()) {
            (Kind::Switch, texts) => texts.first().map_or_else(|| "false".to_owned(), Clone::clone),
            (Kind::Many, texts) => format!(
                "[{}]",
                texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
            ),
            (Kind::One, [text]) => quoted(text),
            (Kind::One, _) => {
                lines.push(format!("# {} is not set", setting.name));
                continue;
            }
        };
        lines.push(format!("{} = {value} # {origin}", setting.name));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
