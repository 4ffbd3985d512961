//! What the parent wants to set, held against what the measured configuration lets it.

use http::{Method, StatusCode};
use http_body_util::Full;
use serde_json::{Map, Value};

use super::{Error, Parent, expect, request};
use crate::config::{Launch, Setting};
use crate::disclose::Words;
use crate::limits;

/// What the parent set, all of it allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Images waiting for a processor.
    pub queue: Option<usize>,
    /// Processors to use; 0 means all.
    pub threads: Option<usize>,
}

impl Settings {
    fn allowed(wanted: &Map<String, Value>, launch: &Launch) -> Result<Self, Error> {
        let mut settings = Self::default();
        for (name, value) in wanted {
            let setting = launch.parent_may_set.iter().copied().find(|setting| setting.name() == name);
            let setting = setting.ok_or_else(|| Error::SettingNotAllowed(Words::setting_of_the_parent(name)))?;
            let (place, bounds) = match setting {
                Setting::Queue => (&mut settings.queue, limits::QUEUE),
                Setting::Threads => (&mut settings.threads, limits::THREADS),
            };
            let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
            *place = Some(number.filter(|number| bounds.contains(number)).ok_or(Error::SettingValue(setting))?);
        }
        Ok(settings)
    }
}

impl Parent {
    /// Asks what the parent wants to set. A parent that knows of no settings sets nothing.
    ///
    /// # Errors
    /// When the parent does not answer with an object, or sets anything that `launch` does not let it, or to a value out of bounds.
    pub async fn settings(&self, launch: &Launch) -> Result<Settings, Error> {
        const WHAT: &str = "settings";
        let request = request(Method::GET, "/v1/settings").body(Full::default())?;
        let answer = self.exchange(WHAT, request, limits::MAX_SETTINGS_BYTES).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(Settings::default());
        }
        expect(WHAT, &answer, StatusCode::OK)?;
        let wanted = serde_json::from_slice(answer.body());
        Settings::allowed(&wanted.map_err(|_| Error::Malformed { what: WHAT, reason: "not an object" })?, launch)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::disclose::Disclose;

    fn allowed(wanted: &Value, may_set: &[Setting]) -> Result<Settings, String> {
        let launch = Launch { parent_may_set: may_set.to_vec(), ..Launch::default() };
        Settings::allowed(wanted.as_object().unwrap(), &launch).map_err(|error| error.words().to_string())
    }

    #[test]
    fn what_is_listed_is_taken_within_its_bounds() {
        let both = [Setting::Queue, Setting::Threads];
        let settings = allowed(&json!({"queue": 3, "threads": 0}), &both).unwrap();
        assert_eq!(settings, Settings { queue: Some(3), threads: Some(0) });
        assert_eq!(allowed(&json!({}), &[]).unwrap(), Settings::default());
        for value in [json!(0), json!(1025), json!(-1), json!(1.5), json!("3"), json!(null)] {
            let refused = allowed(&json!({"queue": value}), &both).unwrap_err();
            assert!(refused.contains("queue"), "{value}: {refused}");
        }
    }

    #[test]
    fn what_is_not_listed_is_refused_by_name() {
        assert!(allowed(&json!({"threads": 1}), &[Setting::Queue]).unwrap_err().contains("threads"));
        assert!(allowed(&json!({"debug_shell": true}), &[Setting::Queue]).unwrap_err().contains("debug_shell"));
        let forged = allowed(&json!({"a\nb": 1}), &[]).unwrap_err();
        assert!(forged.contains("not plain") && !forged.contains('\n'), "{forged}");
    }
}
