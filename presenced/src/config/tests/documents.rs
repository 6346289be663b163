//! The man page and the completions.

use super::*;

fn text_of(arguments: &[&str]) -> String {
    match load_with(arguments, &[("PRESENCED_TYPO", "1")]) {
        Ok(Outcome::Print(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_man_page_and_the_completions_name_every_setting() {
    let man = text_of(&["--man"]);
    assert!(man.starts_with(".ie") || man.contains(".TH presenced 1"), "{man:.200}");
    assert!(man.contains(".SH NOTES") && !man.contains("EXTRA"));
    for shell in ["bash", "zsh", "fish"] {
        let script = text_of(&["--completions", shell]);
        for setting in SETTINGS {
            assert!(script.contains(setting.name), "{shell}: {}", setting.name);
            assert!(man.contains(&setting.name.replace('-', "\\-")), "{}", setting.name);
        }
    }
    assert!(error_of(&["--completions", "cmd"], &[]).contains("cmd"));
}

#[test]
fn bash_completes_files_only_where_a_file_is_expected() {
    let script = text_of(&["--completions", "bash"]);
    let completed = |flag: &str| {
        let (_, rest) = script.split_once(&format!("--{flag})")).expect(flag);
        let (case, _) = rest.split_once(";;").expect(flag);
        case.to_owned()
    };
    for flag in ["config", "secret-file", "jwt-key"] {
        assert!(completed(flag).contains("compgen -f"), "{flag}: {}", completed(flag));
    }
    assert!(completed("data-dir").contains("plusdirs"), "{}", completed("data-dir"));
    assert!(completed("log-level").contains("error warn info debug trace"));
    assert!(completed("log-format").contains("text json"));
    for flag in ["grace", "listen", "trusted-proxy", "max-body"] {
        assert!(
            !completed(flag).contains("compgen -f") && !completed(flag).contains("plusdirs"),
            "{flag}: {}",
            completed(flag)
        );
    }
}
