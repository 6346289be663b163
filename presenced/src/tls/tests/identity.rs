//! Files that are served, and files that are refused with one line that says why.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair};

use super::Files;
use crate::tls::TlsIdentity;
use crate::tls::certificate::Validity;

fn testdata(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/tls/testdata")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

fn refused(certificate: &Path, key: &Path) -> String {
    let error = TlsIdentity::read(certificate, key).expect_err("refused").to_string();
    assert!(!error.contains('\n'), "one line: {error}");
    error
}

#[test]
fn keys_of_all_usual_forms_are_read() {
    let files = Files::new();
    files.identity();
    for name in ["sec1", "pkcs1"] {
        let certificate = files.write("c", &testdata(&format!("{name}.pem")));
        let key = files.write("k", &testdata(&format!("{name}.key")));
        TlsIdentity::read(&certificate, &key).unwrap();
        // One file with both.
        let both = files.write(
            "both",
            &(testdata(&format!("{name}.key")) + &testdata(&format!("{name}.pem"))),
        );
        TlsIdentity::read(&both, &both).unwrap();
    }
}

#[test]
fn a_chain_is_served_as_it_is_in_the_file() {
    let files = Files::new();
    let own = std::fs::read_to_string(files.path("cert.pem")).unwrap();
    let chain = files.write("chain", &format!("text before\n{own}\n{}", testdata("sec1.pem")));
    let identity = TlsIdentity::read(&chain, &files.path("key.pem")).unwrap();
    assert_eq!(identity.chain().len(), 2);
    assert_eq!(identity.to_pem().replace('\n', ""), own.replace(['\r', '\n'], ""));
    let reversed = files.write("chain", &format!("{}{own}", testdata("sec1.pem")));
    let error = refused(&reversed, &files.path("key.pem"));
    assert!(error.contains("is not the key of the first certificate"), "{error}");
}

#[test]
fn files_that_can_not_be_served_are_refused_with_the_reason() {
    let files = Files::new();
    let (certificate, key) = (files.path("cert.pem"), files.path("key.pem"));
    let missing = files.path("missing");
    let write = |name: &str, text: &str| files.write(name, text);
    let cases = [
        (missing.clone(), key.clone(), "--tls-cert", "No such file"),
        (certificate.clone(), missing, "--tls-key", "No such file"),
        (key.clone(), key.clone(), "--tls-cert", "holds no certificate"),
        (
            certificate.clone(),
            certificate.clone(),
            "--tls-key",
            "holds no private key",
        ),
        (write("empty", ""), key.clone(), "--tls-cert", "holds no certificate"),
        (
            write("cut", "-----BEGIN CERTIFICATE-----\nMIIB\n"),
            key.clone(),
            "--tls-cert",
            "is not valid PEM",
        ),
        (
            write("odd", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            key,
            "--tls-cert",
            "holds no valid certificate",
        ),
        (
            certificate.clone(),
            write("encrypted", &testdata("encrypted.key")),
            "--tls-key",
            "encrypted key",
        ),
        (
            certificate,
            write("other", &testdata("sec1.key")),
            "--tls-key",
            "is not the key of the first certificate",
        ),
    ];
    for (certificate, key, flag, part) in cases {
        let error = refused(&certificate, &key);
        assert!(error.starts_with(flag) && error.contains(part), "{error}");
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let files = Files::new();
    let (certificate, key) = (files.path("cert.pem"), files.path("key.pem"));
    for mode in [0o640, 0o604] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = refused(&certificate, &key);
        assert!(error.starts_with("--tls-key") && error.contains("chmod 600"), "{error}");
    }
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::set_permissions(&certificate, std::fs::Permissions::from_mode(0o644)).unwrap();
    files.identity();
}

fn validity_of(from: (i32, u8, u8), until: (i32, u8, u8)) -> [String; 2] {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
    params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let validity = Validity::of(certificate.der()).unwrap();
    [validity.not_before, validity.not_after].map(|time| time.record_time(None).to_string())
}

#[test]
fn the_validity_of_a_certificate_is_read_in_both_forms_of_time() {
    let midnight = |date: &str| format!("{date}T00:00:00.000Z");
    assert_eq!(
        validity_of((1999, 12, 31), (2049, 12, 31)),
        ["1999-12-31", "2049-12-31"].map(midnight)
    );
    assert_eq!(
        validity_of((2026, 2, 28), (2050, 1, 1)),
        ["2026-02-28", "2050-01-01"].map(midnight)
    );
    // What stands for no end, as rcgen writes it, and beyond the times that records have.
    assert_eq!(
        validity_of((1975, 1, 1), (9999, 12, 31)),
        ["1975-01-01", "9999-12-30"].map(midnight)
    );
}

#[test]
fn bytes_that_are_no_certificate_have_no_validity() {
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let whole = certificate.der().as_ref();
    assert!(Validity::of(whole).is_some());
    for length in 0..whole.len() {
        assert_eq!(Validity::of(&whole[..length]), None, "cut after {length} bytes");
    }
    assert_eq!(Validity::of(&[0x30; 300]), None);
    assert_eq!(Validity::of(&[0xff; 300]), None);
}
