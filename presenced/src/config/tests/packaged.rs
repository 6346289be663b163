//! `deploy/presenced.toml`, which packages install as a commented configuration file.

use super::*;

const FILE: &str = include_str!("../../../../deploy/presenced.toml");

/// Its settings, which are commented, without the `#`; those of a paragraph belong together.
fn paragraphs() -> Vec<Vec<&'static str>> {
    let paragraphs = FILE.split("\n\n").map(|paragraph| {
        let settings = paragraph.lines().filter_map(|line| line.strip_prefix('#'));
        settings
            .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
            .collect()
    });
    paragraphs.filter(|settings: &Vec<_>| !settings.is_empty()).collect()
}

#[test]
fn the_packaged_file_sets_nothing() {
    let file = file(FILE);
    let path = file.path().to_str().expect("a path");
    assert_eq!(printed(&["--config", path], &[]), printed(&[], &[]));
    assert!(FILE.lines().all(|line| line.is_empty() || line.starts_with('#')));
}

#[test]
fn each_paragraph_of_the_packaged_file_is_accepted() {
    for settings in paragraphs() {
        let file = file(&settings.join("\n"));
        let path = file.path().to_str().expect("a path");
        let text = printed(&["--config", path], &[]);
        for (index, line) in settings.iter().enumerate() {
            let (name, _) = line.split_once(" = ").expect(line);
            let source = format!("# {path}:{}", index + 1);
            let is_from_file = |line: &str| line.starts_with(&format!("{name} = ")) && line.ends_with(&source);
            assert!(text.lines().any(is_from_file), "{line}: {text}");
        }
    }
}

#[test]
fn the_packaged_file_has_every_setting_with_its_default() {
    let settings: Vec<&str> = paragraphs().concat();
    for setting in SETTINGS.iter().filter(|setting| setting.name != "data-dir") {
        let line = settings
            .iter()
            .find(|line| line.starts_with(&format!("{} = ", setting.name)))
            .expect(setting.name);
        let (_, value) = line.split_once(" = ").expect(line);
        let value = value.trim_matches(['[', ']', '"']);
        let default = match setting.kind {
            Kind::Switch => "false",
            _ => setting.default,
        };
        assert!(value == default || default.is_empty(), "{line}: {default}");
    }
    assert_eq!(settings.len(), SETTINGS.len() - 1, "{settings:?}");
}
