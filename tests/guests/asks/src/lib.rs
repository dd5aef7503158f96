//! Sends the requests that its event lists, and tells what came of them.

use std::time::Duration;

use relay_sdk::prelude::*;
use serde::Deserialize;

struct Asks;

#[derive(Deserialize)]
struct Ask {
    #[serde(default = "get")]
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<String>,
    /// Bytes of the body, if it is to be a long one.
    #[serde(default)]
    long: usize,
    /// Whether the event's own payload is the body.
    #[serde(default)]
    same: bool,
    bearer: Option<String>,
    timeout_ms: Option<u64>,
    max_bytes: Option<u32>,
    #[serde(default = "once")]
    times: usize,
    /// Whether the body of the answer is what goes on.
    #[serde(default)]
    pass_on: bool,
}

fn get() -> String {
    "GET".to_owned()
}

fn once() -> usize {
    1
}

#[plugin]
impl Asks {
    fn transform(event: &Event) -> Result<Outcome, Fault> {
        let asks: Vec<Ask> = event.require("/asks")?;
        let mut told = Vec::new();
        for ask in &asks {
            for _ in 0..ask.times {
                match ask.request(event).send() {
                    Ok(answer) if ask.pass_on => return Ok(Message::held(answer.body).into()),
                    Ok(answer) => told.push(json!({
                        "status": answer.status, "headers": answer.headers, "body": answer.text(),
                    })),
                    Err(error) => told.push(json!({ "error": format!("{error:?}") })),
                }
            }
        }
        // The same again and again says it once.
        told.dedup();
        Ok(Message::json(told).into())
    }
}

impl Ask {
    fn request(&self, event: &Event) -> http::Request {
        let mut request = http::request(&self.method, &self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = &self.body {
            request = request.text(body);
        }
        if self.long > 0 {
            request = request.text("x".repeat(self.long));
        }
        if self.same {
            request = request.payload(event.data());
        }
        if let Some(name) = &self.bearer {
            request = request.bearer_secret(name);
        }
        if let Some(ms) = self.timeout_ms {
            request = request.timeout(Duration::from_millis(ms));
        }
        match self.max_bytes {
            Some(bytes) => request.max_bytes(bytes),
            None => request,
        }
    }
}
