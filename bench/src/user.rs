//! Users of the benchmark: a number each, and an id of fixed length, so that both sides find one without hashing.

/// The number of a user.
pub(crate) type User = usize;

/// The length of every id in bytes.
pub(crate) const ID_LENGTH: usize = 8;

/// The id of a user below a million.
pub(crate) fn id(user: User) -> String {
    let mut text = Vec::with_capacity(ID_LENGTH);
    write_id(&mut text, user);
    String::from_utf8_lossy(&text).into_owned()
}

/// Appends the id of a user below a million.
pub(crate) fn write_id(text: &mut Vec<u8>, user: User) {
    let mut id = *b"u-000000";
    let mut rest = user;
    for digit in id.iter_mut().skip(2).rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    text.extend_from_slice(&id);
}

/// The user whose id a text begins with.
pub(crate) fn parse(text: &[u8]) -> Option<User> {
    let digits = text.get(..ID_LENGTH)?.strip_prefix(b"u-")?;
    digits.iter().try_fold(0, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| usize::from(digit - b'0'))?;
        Some(number * 10 + digit)
    })
}

#[test]
fn an_id_is_read_back_and_other_text_is_none() {
    assert_eq!(parse(id(40_123).as_bytes()), Some(40_123));
    assert_eq!((id(40_123).as_str(), id(999_999).len()), ("u-040123", ID_LENGTH));
    assert_eq!(
        (parse(b"u-12345"), parse(b"v-123456"), parse(b"u-12345x")),
        (None, None, None)
    );
}
