//! Misbehaves as its configuration says: `{"do": "spin"}`.

wit_bindgen::generate!({ path: "../../../wit", world: "relay:plugin/transformer", generate_all });

use std::time::{Duration, Instant};

use exports::relay::plugin::transform::{Guest, Message, Outcome};
use relay::plugin::log::Level;
use relay::plugin::types::{Change, Data, Edit, Event, Fault, Retry};
use relay::plugin::{call, config, crypto, log, payload, secrets, state};

struct Hostile;

impl Guest for Hostile {
    fn transform(event: Event) -> Result<Outcome, Fault> {
        let action = config::value("/do").unwrap_or_default();
        match action.trim_matches('"') {
            "nothing" => Ok(Outcome::Keep),
            "spin" => spin(),
            "spin-in-host" => spin_in_host(&event),
            "sleep" => sleep(),
            "take-50ms" => work_for(Duration::from_millis(50)),
            "eat-memory" => eat_memory(),
            "overflow-calls" => Ok(Outcome::Drop(count_down(u64::MAX).to_string())),
            "overflow-stack" => Ok(Outcome::Drop(overflow(1).to_string())),
            "panic" => panic!("the payload {} is not to my taste", event.id),
            "trap" => core::arch::wasm32::unreachable(),
            "exit" => std::process::exit(3),
            "out-of-bounds" => Ok(Outcome::Drop(read_out_of_bounds().to_string())),
            "flood-log" => flood_log(),
            "long-log-line" => long_log_line(),
            "flood-stderr" => flood_stderr(),
            "log-secret" => log_secret(),
            "flood-host" => flood_host(),
            "huge-text" => text("x".repeat(2 << 20)),
            "huge-in-parts" => Ok(Outcome::Emit(
                (0..28).map(|_| message(Data::Text("x".repeat(40_000)))).collect(),
            )),
            "huge-key" => huge_key(),
            "hash-too-much" => hash_too_much(&event),
            "grow-by-copies" => edits(
                (0..60)
                    .map(|n| Edit::Copy((String::new(), format!("/c{n}"))))
                    .collect(),
            ),
            "many-messages" => Ok(Outcome::Emit((0..101).map(|_| message(Data::Same)).collect())),
            "no-messages" => Ok(Outcome::Emit(Vec::new())),
            "pointer" => edits(vec![Edit::Set(("no/slash".to_owned(), "1".to_owned()))]),
            "tilde" => edits(vec![Edit::Remove("/a~2".to_owned())]),
            "value" => edits(vec![Edit::Set(("/a".to_owned(), "{".to_owned()))]),
            "root" => edits(vec![Edit::Remove(String::new())]),
            "foreign-blob" => Ok(Outcome::Emit(vec![message(Data::Held(event.data + 1))])),
            "read-foreign-blob" => {
                text(String::from_utf8_lossy(&payload::bytes(event.data + 7)).into_owned())
            }
            "reserved-header" => change(Change::SetHeader(("Content-Length".to_owned(), "0".to_owned()))),
            "split-header" => change(Change::SetHeader(("x-a".to_owned(), "1\r\nx-b: 2".to_owned()))),
            "bad-attribute" => change(Change::SetAttribute(("type".to_owned(), "not a type".to_owned()))),
            "odd-pointers" => Ok(Outcome::Drop(odd_pointers(&event))),
            "invalid" => Err(Fault::Invalid("nothing to see".to_owned())),
            "misconfigured" => Err(Fault::Misconfigured("no such channel".to_owned())),
            "unavailable" => Err(Fault::Unavailable(Retry {
                message: "later".to_owned(),
                after_ms: Some(1500),
            })),
            "panic-if-asked" if payload::json(event.data, "/panic").is_some() => panic!("asked to"),
            "fan-out" => fan_out(&event),
            "fill-state" => fill_state(),
            "endless-state" => endless_state(),
            "page-state" => page_state(),
            "plant-state" => Ok(Outcome::Drop(format!(
                "{:?}",
                state::set("planted", b"mine", None)
            ))),
            "foreign-state" => foreign_state(),
            "odd-secrets" => odd_secrets(),
            "odd-crypto" => odd_crypto(&event),
            "flood-hash" => flood_hash(&event),
            "flood-hmac" => flood_hmac(&event),
            "odd-names" => odd_names(),
            "hoard" => hoard(&event),
            "flood-stdout" => flood_stdout(),
            "log-controls" => log_controls(),
            "budget" => Ok(Outcome::Drop(format!("{}", call::current().budget_ms))),
            other => panic!("unknown misdeed {other}"),
        }
    }
}

fn message(data: Data) -> Message {
    Message {
        changes: Vec::new(),
        data,
    }
}

fn edits(list: Vec<Edit>) -> Result<Outcome, Fault> {
    Ok(Outcome::Emit(vec![message(Data::Edits(list))]))
}

fn text(text: String) -> Result<Outcome, Fault> {
    Ok(Outcome::Emit(vec![message(Data::Text(text))]))
}

fn change(change: Change) -> Result<Outcome, Fault> {
    Ok(Outcome::Emit(vec![Message {
        changes: vec![change],
        data: Data::Same,
    }]))
}

fn spin() -> ! {
    loop {
        std::hint::black_box(0);
    }
}

fn spin_in_host(event: &Event) -> ! {
    loop {
        payload::size(event.data);
        for _ in 0..100_000 {
            std::hint::black_box(0);
        }
    }
}

fn sleep() -> ! {
    std::thread::sleep(Duration::from_secs(3600));
    panic!("the host let it sleep");
}

fn work_for(span: Duration) -> Result<Outcome, Fault> {
    let start = Instant::now();
    while start.elapsed() < span {
        std::hint::black_box(0);
    }
    Ok(Outcome::Keep)
}

fn eat_memory() -> ! {
    let mut eaten = Vec::new();
    loop {
        eaten.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

/// Needs the engine's stack alone.
fn count_down(from: u64) -> u64 {
    if std::hint::black_box(from) == 0 {
        0
    } else {
        std::hint::black_box(count_down(from - 1)) + 1
    }
}

/// Needs the plugin's own stack, in its memory.
#[expect(unconditional_recursion, reason = "that is the misdeed")]
fn overflow(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    overflow(depth + 1) + frame[(depth % 64) as usize]
}

fn read_out_of_bounds() -> u8 {
    unsafe { std::ptr::read_volatile(0xffff_fff0_usize as *const u8) }
}

fn flood_log() -> ! {
    loop {
        log::log(Level::Info, "again", &[]);
    }
}

fn long_log_line() -> Result<Outcome, Fault> {
    log::log(
        Level::Warn,
        &"é\n".repeat(20_000),
        &[("n".to_owned(), "1".to_owned())],
    );
    println!("to stdout");
    eprintln!("to stderr");
    Ok(Outcome::Keep)
}

fn flood_stderr() -> ! {
    for line in 0..10_000 {
        eprintln!("line {line} of many");
    }
    core::arch::wasm32::unreachable()
}

fn log_secret() -> ! {
    let secret = secrets::get("token").unwrap_or_default();
    log::log(Level::Info, &format!("the secret is {secret}"), &[]);
    panic!("and now it is {secret} in a panic");
}

fn flood_host() -> ! {
    loop {
        call::header("x-any");
    }
}

fn huge_key() -> Result<Outcome, Fault> {
    let key = "k".repeat(300);
    let answers = [
        format!("{:?}", state::get(&key)),
        format!("{:?}", state::set("k", &vec![0; 70_000], None)),
        format!("{:?}", state::keys(&key, None, 5)),
    ];
    Ok(Outcome::Drop(answers.join(" ")))
}

fn hash_too_much(event: &Event) -> Result<Outcome, Fault> {
    let parts: Vec<_> = (0..2_000).map(|_| crypto::Part::Blob(event.data)).collect();
    text(crypto::hash(
        crypto::Digest::Sha256,
        &parts,
        crypto::Encoding::Hex,
    ))
}

fn odd_pointers(event: &Event) -> String {
    let long = "/a".repeat(3_000);
    let pointers = [
        "a",
        "/a~",
        "/a~3",
        "/-",
        "/0",
        "/18446744073709551616",
        "//",
        "/\u{0}",
        &long,
    ];
    let found = pointers
        .iter()
        .filter(|pointer| payload::json(event.data, pointer).is_some())
        .count();
    let slices =
        payload::slice(event.data, u32::MAX, u32::MAX).len() + payload::slice(event.data, 3, 0).len();
    format!("found={found} slices={slices}")
}

/// Writes as much as it is let.
fn fill_state() -> Result<Outcome, Fault> {
    let value = vec![7; 64 << 10];
    for n in 0..10_000 {
        if let Err(error) = state::set(&format!("k{n}"), &value, None) {
            return Ok(Outcome::Drop(format!("{n} then {error:?}")));
        }
    }
    Ok(Outcome::Keep)
}

fn endless_state() -> ! {
    loop {
        // Whatever it says, again.
        state::add("n", 1, None).ok();
    }
}

/// Asks for pages of every size, and for keys behind the last.
fn page_state() -> Result<Outcome, Fault> {
    for n in 0..1_500 {
        if let Err(error) = state::set(&format!("p{n:05}"), b"", None) {
            return Ok(Outcome::Drop(format!("{n} then {error:?}")));
        }
    }
    let (mut pages, mut keys, mut most, mut cursor) = (0, 0, 0, None);
    loop {
        let Ok(page) = state::keys("p", cursor.as_deref(), u32::MAX) else {
            break;
        };
        (pages, keys) = (pages + 1, keys + page.keys.len());
        most = most.max(page.keys.len());
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    let least = state::keys("p", None, 0).map_or(0, |page| page.keys.len());
    let behind = state::keys("p", Some("q"), 10).map_or(0, |page| page.keys.len());
    Ok(Outcome::Drop(format!(
        "{pages} pages, {keys} keys, {most} at most, {least} at least, {behind} behind"
    )))
}

/// Looks for what another owner has kept, by names that might lead there.
fn foreign_state() -> Result<Outcome, Fault> {
    let names = [
        "planted",
        "../planted",
        "7/planted",
        "\0planted",
        "default\0planted",
        "%",
        "*",
        "",
    ];
    let found = names
        .iter()
        .filter(|name| !matches!(state::get(name), Ok(None)))
        .count();
    let listed: usize = names[1..]
        .iter()
        .map(|name| state::keys(name, None, 1000).map_or(0, |page| page.keys.len()))
        .sum();
    Ok(Outcome::Drop(format!("{found} found, {listed} listed")))
}

fn odd_secrets() -> Result<Outcome, Fault> {
    let long = "s".repeat(100_000);
    let names = ["", "KEY", "key ", "key\0", "../key", "empty", "tok", &long];
    let got = names.iter().filter(|name| secrets::get(name).is_ok()).count();
    let equal = names
        .iter()
        .filter(|name| crypto::equals(name, "").is_ok())
        .count();
    let signed = names
        .iter()
        .filter(|name| crypto::hmac(name, crypto::Digest::Sha1, &[], crypto::Encoding::Hex).is_ok())
        .count();
    Ok(Outcome::Drop(format!(
        "{got} got, {equal} equal, {signed} signed"
    )))
}

/// Keys and signatures that are none.
fn odd_crypto(event: &Event) -> Result<Outcome, Fault> {
    use crypto::{Encoding, Key, Part, Scheme};
    let parts = [
        Part::Blob(event.data),
        Part::Text(String::new()),
        Part::Bytes(Vec::new()),
    ];
    let long = "A".repeat(50_000);
    let keys = || {
        [
            Key::Raw(Vec::new()),
            Key::Raw(vec![0; 31]),
            Key::Raw(vec![0xff; 32]),
            Key::Raw(vec![4; 65]),
            Key::Raw(vec![0; 60_000]),
            Key::Pem(String::new()),
            Key::Pem("-----BEGIN PUBLIC KEY-----\n!!!\n-----END PUBLIC KEY-----".to_owned()),
            Key::Pem(format!(
                "-----BEGIN PUBLIC KEY-----\n{long}\n-----END PUBLIC KEY-----"
            )),
            // A secret that is no key.
            Key::Secret("token".to_owned()),
        ]
    };
    let signatures = ["", "00", "zz", "====", "\u{e9}\u{e9}", &long];
    let (mut checked, mut held) = (0, 0);
    for scheme in [Scheme::Ed25519, Scheme::EcdsaP256Sha256, Scheme::RsaPkcs1Sha256] {
        for key in keys() {
            for signature in signatures {
                for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Base64url] {
                    checked += 1;
                    if matches!(
                        crypto::verify(&key, scheme, &parts, signature, encoding),
                        Ok(true)
                    ) {
                        held += 1;
                    }
                }
            }
        }
    }
    Ok(Outcome::Drop(format!("{held} of {checked} held")))
}

/// As much work at once as there may be, again and again.
fn flood_hash(event: &Event) -> ! {
    let size = payload::size(event.data).max(1);
    let parts: Vec<_> = (0..(16 << 20) / size)
        .map(|_| crypto::Part::Blob(event.data))
        .collect();
    loop {
        crypto::hash(crypto::Digest::Sha512, &parts, crypto::Encoding::Base64);
    }
}

fn flood_hmac(event: &Event) -> ! {
    let parts = [crypto::Part::Blob(event.data)];
    loop {
        crypto::hmac("key", crypto::Digest::Sha256, &parts, crypto::Encoding::Hex).ok();
    }
}

fn odd_names() -> Result<Outcome, Fault> {
    let long = "/x".repeat(50_000);
    let names = [
        "",
        "/",
        "//",
        "/~",
        "/~2",
        "x",
        "\0",
        "/18446744073709551616",
        &long,
    ];
    let configured = names
        .iter()
        .filter(|name| config::value(name).is_some_and(|value| value.len() < 3));
    let heads = names.iter().filter(|name| call::header(name).is_some());
    let answers = names.iter().filter(|name| call::answer_header(name).is_some());
    let extensions = names.iter().filter(|name| call::extension(name).is_some());
    Ok(Outcome::Drop(format!(
        "{} {} {} {}",
        configured.count(),
        heads.count(),
        answers.count(),
        extensions.count()
    )))
}

/// Keeps all that the relay hands over.
fn hoard(event: &Event) -> ! {
    loop {
        std::mem::forget(payload::bytes(event.data));
    }
}

fn flood_stdout() -> Result<Outcome, Fault> {
    for line in 0..1_000 {
        println!("line {line} of many");
        eprintln!("error {line} of many");
    }
    Ok(Outcome::Keep)
}

fn log_controls() -> Result<Outcome, Fault> {
    let fields = [("a\nb".to_owned(), "\u{1b}[2J\r\u{7}".to_owned())];
    log::log(Level::Warn, "one\ntwo\0three\u{85}four\u{1b}[31m", &fields);
    println!("\u{1b}]0;title\u{7}out");
    Ok(Outcome::Keep)
}

fn fan_out(event: &Event) -> Result<Outcome, Fault> {
    let mut messages = Vec::new();
    for index in 0.. {
        let Some(item) = payload::json(event.data, &format!("/{index}")) else {
            break;
        };
        let changes = vec![Change::SetAttribute((
            "subject".to_owned(),
            format!("item {index}"),
        ))];
        messages.push(Message {
            changes,
            data: Data::Text(item),
        });
    }
    Ok(Outcome::Emit(messages))
}

export!(Hostile);
