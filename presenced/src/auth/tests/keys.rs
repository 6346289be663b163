//! The contents of key files.

use super::super::JwtKeyFile;
use super::super::fixture::keys;
use super::super::jwt_key::InvalidJwtKey;

const RSA: &str = include_str!("../testdata/rsa.pem");
const P256: &str = include_str!("../testdata/p256.pem");
const ED25519: &str = include_str!("../testdata/ed25519.pem");

fn algorithm(text: &[u8]) -> Result<String, InvalidJwtKey> {
    let text = JwtKeyFile::parse(text).map(|key| format!("{key:?}"))?;
    let (_, algorithm) = text.split_once("algorithm: ").unwrap();
    Ok(algorithm.split([',', ' ']).next().unwrap().to_owned())
}

fn body(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with('-')).collect()
}

#[test]
fn the_key_decides_the_algorithm() {
    let pkcs1 = include_str!("../testdata/rsa-pkcs1.pem");
    for (pem, wanted) in [(RSA, "RS256"), (pkcs1, "RS256"), (P256, "ES256"), (ED25519, "EdDSA")] {
        let mut written = vec![pem.to_owned(), pem.trim().into(), pem.replace('\n', "\r\n")];
        written.extend([
            format!("\n\n {pem}"),
            format!("\u{feff}{pem}"),
            format!("our key:\n{pem}\n"),
        ]);
        for text in written {
            assert_eq!(algorithm(text.as_bytes()), Ok(wanted.to_owned()), "{text:?}");
        }
    }
    for text in [
        "0123456789abcdef",
        "  0123456789abcdef\r\n",
        "sixteen bytes ä",
        "{\"a\": \"0123456789abcdef\"}",
    ] {
        assert_eq!(algorithm(text.as_bytes()), Ok("HS256".to_owned()), "{text:?}");
    }
}

#[test]
fn private_and_unsupported_keys_are_rejected() {
    use InvalidJwtKey::{NotOnePublicKey, Private, RsaSize, Unsupported};
    let cases = [
        (include_str!("../testdata/rsa.private.pem"), Private),
        (include_str!("../testdata/p256.private.pem"), Private),
        (include_str!("../testdata/ed25519.private.pem"), Private),
        (
            "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
            Private,
        ),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            Private,
        ),
        (include_str!("../testdata/certificate.pem"), NotOnePublicKey),
        (
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n",
            NotOnePublicKey,
        ),
        ("-----BEGIN ", NotOnePublicKey),
        (include_str!("../testdata/p384.pem"), Unsupported),
        (include_str!("../testdata/secp256k1.pem"), Unsupported),
        (include_str!("../testdata/p256-compressed.pem"), Unsupported),
        (include_str!("../testdata/ed448.pem"), Unsupported),
        (include_str!("../testdata/x25519.pem"), Unsupported),
        (include_str!("../testdata/rsa-pss.pem"), Unsupported),
        ("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", Unsupported),
        (
            "-----BEGIN PUBLIC KEY-----\n%%%%\n-----END PUBLIC KEY-----\n",
            Unsupported,
        ),
        (
            "-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n",
            Unsupported,
        ),
        (include_str!("../testdata/rsa-1024.pem"), RsaSize { bits: 1024 }),
    ];
    for (text, error) in cases {
        assert_eq!(algorithm(text.as_bytes()), Err(error), "{text}");
    }
    for several in [format!("{RSA}{RSA}"), format!("{P256}\n{ED25519}")] {
        assert_eq!(algorithm(several.as_bytes()), Err(NotOnePublicKey));
    }
    for damaged in [RSA, P256, ED25519].map(|pem| pem.replacen("-----END", "\n-----EMD", 1)) {
        assert_eq!(algorithm(damaged.as_bytes()), Err(Unsupported), "{damaged}");
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_key() {
    let identity = |text: &str| keys(text.as_bytes()).into_iter().next().unwrap().identity();
    assert_eq!(identity("\u{feff}0123456789abcdef\n"), identity("0123456789abcdef"));
    let error = algorithm("\u{feff}0123456789abc".as_bytes());
    assert_eq!(error, Err(InvalidJwtKey::ShortSecret { bytes: 13 }));
}

#[test]
fn a_public_key_in_another_format_is_not_a_secret() {
    let mut forms: Vec<String> = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ root@host",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ root@host",
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY root@host",
    ]
    .map(str::to_owned)
    .into();
    let pems = [
        RSA,
        P256,
        ED25519,
        include_str!("../testdata/p384.pem"),
        include_str!("../testdata/secp256k1.pem"),
        include_str!("../testdata/p256-compressed.pem"),
        include_str!("../testdata/ed448.pem"),
        include_str!("../testdata/rsa-1024.pem"),
    ];
    forms.extend(pems.map(body));
    forms.push(format!("  {}\n", body(RSA)));
    for form in forms {
        assert_eq!(algorithm(form.as_bytes()), Err(InvalidJwtKey::NotPem), "{form}");
    }
}

#[test]
fn a_secret_is_text_of_sixteen_bytes_or_more() {
    for (text, bytes) in [("", 0), (" \n\t", 0), ("short", 5), ("  0123456789abcde  \n", 15)] {
        assert_eq!(algorithm(text.as_bytes()), Err(InvalidJwtKey::ShortSecret { bytes }));
    }
    for bytes in [
        &b"\xff\xfe0\x001\x002\x003\x004\x005\x006\x007\x00"[..],
        &[0x30, 0x82, 0x01, 0x22, 0x80, 0xff],
    ] {
        assert_eq!(algorithm(bytes), Err(InvalidJwtKey::NotText));
    }
    let utf_16: Vec<u8> = RSA.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(algorithm(&utf_16), Err(InvalidJwtKey::NotText));
}

#[test]
fn neither_debug_nor_an_error_shows_a_key() {
    let key = JwtKeyFile::parse(b"SENSITIVE secret of tests").unwrap();
    assert!(!format!("{key:?}").contains("SENSITIVE"));
    for text in [
        "SENSITIVE",
        "-----BEGIN SENSITIVE-----",
        "-----BEGIN PUBLIC KEY-----\nSENSITIVE",
    ] {
        let error = JwtKeyFile::parse(text.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("SENSITIVE"), "{error}");
    }
}
