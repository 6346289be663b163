//! The lock, secrets and keys of the data directory.

use super::*;

fn own_key(dir: &DataDir, if_missing: IfMissing) -> Result<(PathBuf, Vec<u8>), DataDirError> {
    Ok(dir.jwt_keys(&[], if_missing)?.remove(0))
}

fn key_in(dir: &DataDir, file: &Path) -> Result<(PathBuf, Vec<u8>), DataDirError> {
    Ok(dir.jwt_keys(&[file.to_owned()], IfMissing::Fail)?.remove(0))
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

#[test]
fn the_first_start_creates_private_secrets_and_keeps_them() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("a/b");
    let dir = DataDir::open(&path).expect("a data directory");
    let secrets = dir.secrets(None, IfMissing::Create).expect("a secret");
    let (_, key) = own_key(&dir, IfMissing::Create).expect("a key");
    dir.save_address("http://127.0.0.1:1").expect("an address");
    assert_eq!(mode(&path), 0o700);
    for name in ["secret", "jwt-key", "address", "lock"] {
        assert_eq!(mode(&path.join(name)), 0o600, "{name}");
    }
    assert_ne!(secrets[0], key.trim_ascii());
    assert_eq!(secrets[0].len(), 64);
    drop(dir);
    let is_held = |error: &_| matches!(error, DataDirError::InUse { .. });
    let dir = crate::files::when_free(is_held, || DataDir::open(&path)).expect("a data directory");
    assert_eq!(dir.secrets(None, IfMissing::Create).expect("a secret"), secrets);
}

#[test]
fn the_error_of_a_second_process_names_the_first() {
    let root = tempfile::tempdir().expect("a directory");
    let _first = DataDir::open(root.path()).expect("a data directory");
    let error = DataDir::open(root.path()).expect_err("in use").to_string();
    assert!(error.contains(&std::process::id().to_string()), "{error}");
}

#[test]
fn a_secret_file_holds_one_or_two_secrets() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = DataDir::open(root.path()).expect("a data directory");
    let file = root.path().join("mine");
    let long = "0123456789abcdef";
    let cases = [
        (format!("{long}\n"), Some(1)),
        (format!("{long}\r\n  {long}x\n\n"), Some(2)),
        (format!("{long}\n{long}\n{long}\n"), None),
        (String::new(), None),
        ("short\n".to_owned(), None),
        ("a\0secret\0in\0utf-16".to_owned(), None),
        (format!("{long}\u{7f}"), None),
    ];
    for (text, count) in cases {
        replace(&file, text.as_bytes()).expect("a file");
        assert_eq!(
            dir.secrets(Some(&file), IfMissing::Create)
                .ok()
                .map(|secrets| secrets.len()),
            count,
            "{text:?}"
        );
    }
    assert!(
        dir.secrets(Some(&root.path().join("missing")), IfMissing::Create)
            .is_err(),
        "a named file is not made"
    );
}

#[test]
fn a_file_over_64_kib_is_an_error_and_is_not_cut() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = DataDir::open(root.path()).expect("a data directory");
    let file = root.path().join("mine");
    for (bytes, good) in [(64 * 1024, true), (64 * 1024 + 1, false), (200 * 1024, false)] {
        replace(&file, "x".repeat(bytes).as_bytes()).expect("a file");
        let secrets = dir.secrets(Some(&file), IfMissing::Create);
        assert_eq!(secrets.is_ok(), good, "{bytes}");
        let key = key_in(&dir, &file);
        assert_eq!(key.as_ref().is_ok_and(|(_, key)| key.len() == bytes), good, "{bytes}");
        if let Err(error) = key {
            assert!(error.to_string().contains("longer than 65536 bytes"), "{error}");
        }
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_secret_or_key() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = DataDir::open(root.path()).expect("a data directory");
    let file = root.path().join("mine");
    replace(&file, "\u{feff}0123456789abcdef\n".as_bytes()).expect("a file");
    let secrets = dir.secrets(Some(&file), IfMissing::Fail).expect("a secret");
    assert_eq!(secrets, [b"0123456789abcdef"]);
    let (_, key) = key_in(&dir, &file).expect("a key");
    assert_eq!(key, b"0123456789abcdef\n");
}

#[test]
fn a_missing_file_is_made_at_a_start_and_never_by_a_reload() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = DataDir::open(root.path()).expect("a data directory");
    assert!(dir.secrets(None, IfMissing::Fail).is_err());
    assert!(own_key(&dir, IfMissing::Fail).is_err());
    assert!(!root.path().join("secret").exists() && !root.path().join("jwt-key").exists());
    assert!(dir.secrets(None, IfMissing::Create).is_ok());
    assert!(own_key(&dir, IfMissing::Create).is_ok());
}

#[test]
fn a_generated_key_is_known_from_one_of_the_operator() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = DataDir::open(root.path()).expect("a data directory");
    let (path, key) = own_key(&dir, IfMissing::Create).expect("a key");
    assert!(is_generated_key(&key));
    for text in [
        &key["generated-by-presenced-".len()..],
        b"",
        b"-----BEGIN PUBLIC KEY-----\n",
    ] {
        std::fs::write(&path, text).expect("written");
        let (_, key) = own_key(&dir, IfMissing::Create).expect("a key");
        assert!(!is_generated_key(&key), "{}", text.escape_ascii());
    }
}

#[test]
fn a_secret_that_others_can_read_is_an_error_with_the_remedy() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = DataDir::open(root.path()).expect("a data directory");
    dir.secrets(None, IfMissing::Create).expect("a secret");
    let path = root.path().join("secret");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("a mode");
    let error = dir.secrets(None, IfMissing::Create).expect_err("too loose").to_string();
    assert!(error.contains("chmod 600"), "{error}");
    own_key(&dir, IfMissing::Create).expect("a key");
    let path = root.path().join("jwt-key");
    assert!(check_private(&path).is_ok());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("a mode");
    assert!(check_private(&path).is_err());
}

#[test]
fn the_numbers_of_runs_are_kept_for_the_next_one() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = DataDir::open(root.path()).expect("a data directory");
    assert_eq!(dir.last_incarnations().expect("no file"), Vec::<u64>::new());
    for numbers in [vec![0x1f], vec![u64::MAX, 0x1f], (0..40).collect()] {
        dir.save_incarnations(&numbers).expect("a file");
        let kept = &numbers[..numbers.len().min(16)];
        assert_eq!(dir.last_incarnations().expect("numbers"), kept);
    }
    let path = root.path().join("incarnation");
    assert_eq!(mode(&path), 0o600);
    std::fs::write(&path, "one").expect("written");
    assert_eq!(dir.last_incarnations().expect("no number"), Vec::<u64>::new());
}

#[test]
fn a_password_is_the_first_line_of_its_file() {
    let root = tempfile::tempdir().expect("a directory");
    let file = root.path().join("password");
    for (text, line) in [
        ("one", Some("one")),
        // A space at the end may belong to it.
        ("one two \r\nthree\n", Some("one two ")),
        ("\nx", None),
        ("", None),
    ] {
        replace(&file, text.as_bytes()).expect("a file");
        let password = password(&file).ok();
        assert_eq!(password.as_deref(), line.map(str::as_bytes), "{text:?}");
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("a mode");
    assert!(
        password(&file)
            .expect_err("too loose")
            .to_string()
            .contains("chmod 600")
    );
}

#[test]
fn a_group_may_read_secrets_that_root_has_given_to_another_user() {
    let is_private = |mode: u32, owner, own| mode & beyond_owner(owner, own) == 0;
    for mode in [0o440, 0o640, 0o400] {
        assert!(is_private(mode, 0, 65_532), "{mode:o}");
    }
    for mode in [0o444, 0o660, 0o641, 0o450] {
        assert!(!is_private(mode, 0, 65_532), "{mode:o}");
    }
    assert!(!is_private(0o440, 65_532, 65_532), "the daemon's own");
    assert!(!is_private(0o440, 0, 0), "of root for root");
    assert!(!is_private(0o440, 7, 65_532), "of a third");
}
