//! The sounds that Pushover's apps play.

use serde::{Deserialize, Serialize};

/// A sound, read by Pushover's name or by the one that platforms show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sound {
    #[default]
    Pushover,
    Bike,
    Bugle,
    CashRegister,
    Classical,
    Cosmic,
    Falling,
    Gamelan,
    Incoming,
    Intermission,
    Magic,
    Mechanical,
    PianoBar,
    Siren,
    SpaceAlarm,
    TugBoat,
    Alien,
    Climb,
    Persistent,
    Echo,
    #[serde(alias = "up-down")]
    UpDown,
    Vibrate,
    #[serde(alias = "mute")]
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &str = "pushover bike bugle cashregister classical cosmic falling gamelan incoming intermission \
        magic mechanical pianobar siren spacealarm tugboat alien climb persistent echo updown vibrate none";

    #[test]
    fn every_sound_is_known_by_pushovers_name() {
        for name in NAMES.split_whitespace() {
            let text = format!("\"{name}\"");
            let sound: Sound = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&sound).unwrap(), text);
        }
    }

    #[test]
    fn platform_names_mean_pushovers() {
        for (name, expected) in [("\"mute\"", Sound::None), ("\"up-down\"", Sound::UpDown)] {
            assert_eq!(serde_json::from_str::<Sound>(name).unwrap(), expected);
        }
        assert!(serde_json::from_str::<Sound>("\"horn\"").is_err());
    }

    #[test]
    fn the_schema_lists_the_same_sounds() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let listed = schema["properties"]["sound"]["enum"].as_array().unwrap();
        assert!(
            listed
                .iter()
                .all(|name| serde_json::from_value::<Sound>(name.clone()).is_ok())
        );
        assert_eq!(listed.len(), NAMES.split_whitespace().count() + 2);
    }
}
