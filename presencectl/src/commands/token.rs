//! `token`: signs a development token. The key leaves this file only as a signature.

use std::path::Path;
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use presence::{UserId, Wall};
use serde::Serialize;

use super::Session;
use crate::cli::Token;
use crate::client::private_file::{self, Secret, display_path};
use crate::failure::Failure;
use crate::output::{Cell, Column, HumanOutput, Report, TypedRows};

const COLUMNS: [Column; 3] = [
    Column::needed("USER", "userId"),
    Column::needed("EXPIRES", "expiresAt"),
    Column::needed("TOKEN", "token"),
];

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

impl<'a> Claims<'a> {
    fn new(user: &'a UserId, issued_at: Wall, expires_at: Wall) -> Self {
        Self {
            sub: user.as_str(),
            iat: issued_at.as_millis().div_euclid(1000),
            exp: expires_at.as_millis().div_euclid(1000),
            iss: None,
            aud: None,
        }
    }
}

/// A signing key with the algorithm for its type.
pub(super) struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Signer {
    pub(super) fn load(path: &Path) -> Result<Self, Failure> {
        let text = private_file::read(path, "signing key")?;
        Self::new(&text).map_err(|why| Failure::usage(format_args!("the signing key {} {why}", display_path(path))))
    }

    fn new(text: &Secret) -> Result<Self, &'static str> {
        let text = text.expose();
        if !text.contains("-----BEGIN ") {
            return Ok(Self {
                algorithm: Algorithm::HS256,
                key: EncodingKey::from_secret(text.as_bytes()),
            });
        }
        if !text.contains("PRIVATE KEY-----") {
            return Err("is a public key; signing needs the private key");
        }
        let pem = text.as_bytes();
        let signer = |algorithm: Algorithm| move |key: EncodingKey| Self { algorithm, key };
        EncodingKey::from_ed_pem(pem)
            .map(signer(Algorithm::EdDSA))
            .or_else(|_| EncodingKey::from_ec_pem(pem).map(signer(Algorithm::ES256)))
            .or_else(|_| EncodingKey::from_rsa_pem(pem).map(signer(Algorithm::RS256)))
            .map_err(
                |_| "can't be parsed: expected a private RSA, P-256 or Ed25519 key as PKCS #8 in PEM (convert with `openssl pkcs8 -topk8 -nodes -in KEY`), or an HS256 secret",
            )
    }

    /// Signs a token that is valid for `ttl` from `now`.
    pub(super) fn sign(&self, user: &UserId, now: Wall, ttl: Duration) -> Result<Secret, Failure> {
        self.sign_claims(None, &Claims::new(user, now, now.after(ttl)))
    }

    fn sign_claims(&self, kid: Option<&str>, claims: &Claims) -> Result<Secret, Failure> {
        let header = Header {
            kid: kid.map(str::to_owned),
            ..Header::new(self.algorithm)
        };
        jsonwebtoken::encode(&header, claims, &self.key)
            .map(Secret::new)
            .map_err(|_| Failure::usage("signing failed: the key may use an unsupported curve or be too short"))
    }
}

pub(super) fn run(session: &mut Session, args: &Token) -> Result<(), Failure> {
    let path = match &args.jwt_key {
        Some(path) => path.clone(),
        None => session.finder.key_directory()?.join("jwt-key"),
    };
    if args.jwt_key.is_none() && !path.exists() {
        return Err(
            Failure::usage(format_args!("no signing key found at {}", display_path(&path)))
                .next("pass it with --jwt-key FILE; presenced creates one in its data directory at its first start"),
        );
    }
    let now = crate::clock::wall();
    let until = now.after(args.ttl);
    let signer = Signer::load(&path)?;
    let claims = Claims {
        iss: args.issuer.as_deref(),
        aud: args.audience.as_deref(),
        ..Claims::new(&args.user, now, until)
    };
    let token = signer.sign_claims(args.kid.as_deref(), &claims)?;
    show(session, args, until, &token)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenDocument<'a> {
    user_id: &'a UserId,
    expires_at: Wall,
    token: &'a str,
}

fn show(session: &mut Session, args: &Token, until: Wall, token: &Secret) -> Result<(), Failure> {
    let document = TokenDocument {
        user_id: &args.user,
        expires_at: until,
        token: token.expose(),
    };
    let mut rows = TypedRows::new(&COLUMNS);
    let user = Cell::Hostile(args.user.as_str().to_owned());
    rows.push(vec![
        user,
        Cell::Moment(Some(until)),
        Cell::Text(token.expose().to_owned()),
    ]);
    let report = Report {
        items: &[&document],
        rows,
        human: HumanOutput::Text(format!("{}\n", token.expose())),
        document: &document,
    };
    session.output.show(crate::clock::wall(), &report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_signs_as_an_hs256_secret_with_the_claims() {
        let signer = Signer::new(&Secret::new("0123456789abcdef0123456789abcdef".into())).unwrap();
        let user = UserId::new("alice").unwrap();
        let token = signer
            .sign(&user, Wall::from_millis(1_000_000_999), Duration::from_secs(60))
            .unwrap();
        let key = jsonwebtoken::DecodingKey::from_secret(b"0123456789abcdef0123456789abcdef");
        let mut validation = jsonwebtoken::Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<serde_json::Value>(token.expose(), &key, &validation)
            .unwrap()
            .claims;
        assert_eq!(
            claims,
            serde_json::json!({"sub": "alice", "iat": 1_000_000, "exp": 1_000_060})
        );
    }

    #[test]
    fn a_token_names_its_key_only_if_it_has_a_name() {
        let signer = Signer::new(&Secret::new("0123456789abcdef0123456789abcdef".into())).unwrap();
        let user = UserId::new("alice").unwrap();
        let claims = Claims::new(&user, Wall::from_millis(0), Wall::from_millis(60_000));
        for kid in [None, Some("2027")] {
            let token = signer.sign_claims(kid, &claims).unwrap();
            let header = jsonwebtoken::decode_header(token.expose()).unwrap();
            assert_eq!(header.kid.as_deref(), kid);
        }
    }

    #[test]
    fn a_public_key_is_rejected_as_such() {
        let public = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----";
        assert!(Signer::new(&Secret::new(public.into())).is_err_and(|why| why.contains("public key")));
    }

    #[test]
    fn a_broken_private_key_is_rejected_without_being_shown() {
        let broken = "-----BEGIN PRIVATE KEY-----\nSECRETBYTES\n-----END PRIVATE KEY-----";
        assert!(Signer::new(&Secret::new(broken.into())).is_err_and(|why| !why.contains("SECRETBYTES")));
    }
}
