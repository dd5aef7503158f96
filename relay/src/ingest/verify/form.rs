//! A body that is a form, read by its bytes: what is no UTF-8 is signed all the same.

use percent_encoding::percent_decode;

/// Names and values in turn, sorted; a pair that comes twice counts once.
pub(super) fn sorted(body: &[u8]) -> Vec<u8> {
    let mut pairs: Vec<_> = body
        .split(|&byte| byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(pair)
        .collect();
    pairs.sort_unstable();
    pairs.dedup();
    let mut text = Vec::with_capacity(body.len());
    for (name, value) in pairs {
        text.extend(name);
        text.extend(value);
    }
    text
}

fn pair(pair: &[u8]) -> (Vec<u8>, Vec<u8>) {
    match pair.iter().position(|&byte| byte == b'=') {
        Some(at) => (decoded(&pair[..at]), decoded(&pair[at + 1..])),
        None => (decoded(pair), Vec::new()),
    }
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|&byte| if byte == b'+' { b' ' } else { byte })
        .collect();
    percent_decode(&spaced).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_sorted_by_their_bytes() {
        for (body, text) in [
            (&b"b=2&a=1"[..], &b"a1b2"[..]),
            (b"D=5678&D=1234&D=1234", b"D1234D5678"),
            (b"a=x+y%2Bz&&b", b"ax y+zb"),
            (b"a=%ff&b=\xfe", b"a\xffb\xfe"),
            (b"a=1=2&%zz=%", b"%zz%a1=2"),
            (b"", b""),
        ] {
            assert_eq!(sorted(body), text, "{body:?}");
        }
    }
}
