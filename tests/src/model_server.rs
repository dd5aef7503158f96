//! A model on a loopback address: speaks chat completions as OpenAI does, and answers or misbehaves as
//! it was told. A request that is none is answered with 400.

use serde_json::{Value, json};

use crate::receiver::{Receiver, Reply, Request};

/// The key that it wants.
pub const KEY: &str = "sk-t3st-0f-the-judge";
/// The model that it has.
pub const MODEL: &str = "judge-1";

/// A model that runs; gone when it is dropped.
#[derive(Debug)]
pub struct ModelServer {
    receiver: Receiver,
}

/// What it was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The whole request.
    pub body: Value,
    /// What the system says.
    pub system: String,
    /// What stands between the markers, and the marker.
    pub subject: String,
    pub marker: String,
}

impl ModelServer {
    /// Answers as `script` decides from what it is asked and how many requests came before.
    pub fn answering(script: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let receiver = Receiver::answering(move |request, number| match read(request) {
            Ok(asked) => script(&asked, number),
            Err(why) => Reply::with_body(400, &json!({"error": {"message": why}}).to_string()),
        });
        Self { receiver }
    }

    /// Gives the same answer to everything.
    pub fn always(reply: Reply) -> Self {
        Self::answering(move |_, _| reply.clone())
    }

    /// The section of a configuration that has a relay ask it.
    pub fn section(&self, settings: &str) -> String {
        format!(
            "[judge]\nurl = \"http://{}/v1\"\nkey = \"{KEY}\"\nmodel = \"{MODEL}\"\n{settings}\n",
            self.receiver.address()
        )
    }

    /// How many requests have come.
    pub fn count(&self) -> usize {
        self.receiver.requests().len()
    }

    /// What it was asked so far.
    ///
    /// # Panics
    /// If something came that is no chat completion.
    pub fn asked(&self) -> Vec<Asked> {
        let requests = self.receiver.requests();
        let read =
            |request: &Request| read(request).unwrap_or_else(|why| panic!("{why}: {}", request.text()));
        requests.iter().map(read).collect()
    }

    /// Its connections, as they came.
    pub const fn receiver(&self) -> &Receiver {
        &self.receiver
    }
}

/// A choice, as a model gives it.
pub fn ruling(choice: &str, confidence: f64, reason: &str) -> Reply {
    said(&json!({"choice": choice, "confidence": confidence, "reason": reason}).to_string())
}

/// A completion with this text.
pub fn said(content: &str) -> Reply {
    completion(json!({"role": "assistant", "content": content}), "stop")
}

/// A completion with this message.
pub fn completion(message: Value, finish_reason: &str) -> Reply {
    Reply::with_body(200, &completed(message, finish_reason).to_string())
}

/// The same, once the receiver releases it.
pub fn held(choice: &str) -> Reply {
    let content = json!({"choice": choice, "confidence": 1, "reason": "held"}).to_string();
    let message = json!({"role": "assistant", "content": content});
    Reply::HeldWith(completed(message, "stop").to_string())
}

fn completed(message: Value, finish_reason: &str) -> Value {
    json!({
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_770_000_000,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": null}],
        "usage": {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100},
    })
}

fn read(request: &Request) -> Result<Asked, String> {
    let line = (request.method.as_str(), request.path.as_str());
    if line != ("POST", "/v1/chat/completions") {
        return Err(format!("{line:?} is not served"));
    }
    if request.header("authorization") != format!("Bearer {KEY}") {
        return Err("the key is wrong".to_owned());
    }
    let body: Value = serde_json::from_slice(&request.body).map_err(|error| error.to_string())?;
    if body["model"] != MODEL || !body["max_tokens"].is_u64() || !body["temperature"].is_number() {
        return Err("model, max_tokens and temperature are wanted".to_owned());
    }
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    let [system, user] = messages.as_slice() else {
        return Err(format!("{} messages", messages.len()));
    };
    if system["role"] != "system" || user["role"] != "user" {
        return Err("a system's and a user's message are wanted, in this order".to_owned());
    }
    let user = user["content"].as_str().unwrap_or_default();
    let marker = user.split(' ').next().unwrap_or_default().to_owned();
    let inner = user
        .strip_prefix(&format!("{marker} begins\n"))
        .and_then(|rest| rest.strip_suffix(&format!("\n{marker} ends")));
    let subject = inner
        .ok_or("the subject does not stand between its markers")?
        .to_owned();
    Ok(Asked {
        system: system["content"].as_str().unwrap_or_default().to_owned(),
        subject,
        marker,
        body,
    })
}
