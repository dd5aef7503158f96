//! What events usually know of a person, and what each CRM calls it.

use relay_sdk::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shape::{Record, Shape};

/// A CRM's record of a person, with the properties that every account has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Preset {
    HubspotContact,
    SalesforceContact,
    SalesforceLead,
}

/// Members of an event, by what else they are called.
const EMAIL: &[&str] = &["email", "mail", "email_address", "emailAddress"];
const FIRST: &[&str] = &["first_name", "firstname", "firstName", "given_name"];
const LAST: &[&str] = &["last_name", "lastname", "lastName", "family_name"];
const WHOLE: &[&str] = &["name", "full_name", "fullName"];
const PHONE: &[&str] = &["phone", "phone_number", "phoneNumber", "mobile"];
const COMPANY: &[&str] = &["company", "organization", "organisation"];

impl Preset {
    pub(crate) const fn shape(self) -> Shape {
        match self {
            Self::HubspotContact => Shape::Hubspot,
            Self::SalesforceContact | Self::SalesforceLead => Shape::Salesforce,
        }
    }

    pub(crate) const fn object(self) -> &'static str {
        match self {
            Self::HubspotContact => "",
            Self::SalesforceContact => "Contact",
            Self::SalesforceLead => "Lead",
        }
    }

    /// What a record is known by if nothing is said. Salesforce wants a field of its account's own.
    pub(crate) const fn key(self) -> Option<&'static str> {
        match self {
            Self::HubspotContact => Some("email"),
            Self::SalesforceContact | Self::SalesforceLead => None,
        }
    }

    /// The properties of a person.
    pub(crate) fn properties(self, person: &Value) -> Map<String, Value> {
        let [email, first, last, phone, company] = match self {
            Self::HubspotContact => ["email", "firstname", "lastname", "phone", "company"],
            Self::SalesforceContact => ["Email", "FirstName", "LastName", "Phone", ""],
            Self::SalesforceLead => ["Email", "FirstName", "LastName", "Phone", "Company"],
        };
        let whole = found(person, WHOLE).unwrap_or_default();
        // Salesforce takes nobody without a last name, so that a single name is that there.
        let (one, other) = match (whole.split_once(' '), self.shape()) {
            (Some((one, other)), _) => (Some(one), Some(other.trim())),
            (None, Shape::Salesforce) => (None, Some(whole.as_str())),
            (None, _) => (Some(whole.as_str()), None),
        };
        let or =
            |names, otherwise: Option<&str>| found(person, names).or_else(|| otherwise.map(str::to_owned));
        let known = [
            (email, found(person, EMAIL)),
            (first, or(FIRST, one)),
            (last, or(LAST, other)),
            (phone, found(person, PHONE)),
            (company, found(person, COMPANY)),
        ];
        let known = known.into_iter().filter_map(|(name, value)| {
            let value = value.filter(|value| !name.is_empty() && !value.is_empty())?;
            Some((name.to_owned(), Value::String(value)))
        });
        known.collect()
    }
}

/// The persons at a place: one, or several in a list.
pub(crate) fn persons(event: &Event, at: &str) -> Result<Vec<Value>, Fault> {
    let persons = match event.require(at)? {
        Value::Array(persons) => persons,
        person => vec![person],
    };
    match persons.iter().position(|person| !person.is_object()) {
        None => Ok(persons),
        Some(index) => Err(Fault::invalid(format!(
            "person {} at {at:?} is no object",
            index + 1
        ))),
    }
}

/// Of persons with the same key the last one counts: no CRM takes a record twice in one request.
pub(crate) fn once_each(records: Vec<Record>) -> Vec<Record> {
    let mut kept: Vec<Record> = Vec::with_capacity(records.len());
    for record in records {
        match kept.iter_mut().find(|known| known.key == record.key) {
            Some(known) => *known = record,
            None => kept.push(record),
        }
    }
    kept
}

/// The first of these members that is a text or a number, and not blank.
fn found(person: &Value, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| {
        let text = match person.get(*name)? {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        (!text.is_empty()).then_some(text)
    })
}
