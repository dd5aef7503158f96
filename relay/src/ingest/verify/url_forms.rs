//! The forms in which a sender may have written the address that it signed.
//!
//! Twilio signs its own idea of the address: with the port or without it, with the query as it
//! was configured or as a URL library writes it.

use url::{Position, Url};

/// The forms of a base address with a query; at most four.
pub(super) fn of(base: &Url, query: &str) -> Vec<String> {
    let before_port = &base[..Position::AfterHost];
    let port = base
        .port_or_known_default()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let path = &base[Position::BeforePath..Position::AfterPath];
    let mut forms = Vec::with_capacity(4);
    for query in queries(base, query) {
        for port in ["", &port] {
            let form = format!("{before_port}{port}{path}{query}");
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
    }
    forms
}

/// The query with its question mark, as it came and as the URL standard writes it.
fn queries(base: &Url, query: &str) -> Vec<String> {
    if query.is_empty() {
        return vec![String::new()];
    }
    let mut normal = base.clone();
    normal.set_query(Some(query));
    vec![
        format!("?{query}"),
        normal[Position::AfterPath..Position::AfterQuery].to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_and_query_are_written_both_ways() {
        let of = |base: &str, query| of(&base.parse().expect("a URL"), query);
        assert_eq!(
            of("https://a.example/x", ""),
            ["https://a.example/x", "https://a.example:443/x"]
        );
        assert_eq!(
            of("http://u:p@a.example:8080/x", "b=it's"),
            [
                "http://u:p@a.example/x?b=it's",
                "http://u:p@a.example:8080/x?b=it's",
                "http://u:p@a.example/x?b=it%27s",
                "http://u:p@a.example:8080/x?b=it%27s"
            ]
        );
    }
}
