//! The names of zones, and what follows from them.

/// A zone, by its name `[I67]`.
///
/// ```
/// use imds_emulator::config::Zone;
///
/// let zone = Zone::parse("us-west-2-lax-1a").unwrap();
/// assert_eq!(zone.region(), "us-west-2");
/// assert_eq!(zone.id(), "usw2-lax1-az1");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Zone<'a> {
    region: &'a str,
    place: Place<'a>,
}

/// Where in a region, or near it, a zone is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place<'a> {
    /// An Availability Zone: `us-east-1a`.
    Region { letter: u8 },
    /// A Local Zone: `us-west-2-lax-1a`.
    City {
        city: &'a str,
        number: &'a str,
        letter: u8,
    },
    /// A Wavelength Zone: `us-east-1-wl1-bos-wlz-1`.
    Carrier {
        carrier: &'a str,
        city: &'a str,
        number: &'a str,
    },
}

impl<'a> Zone<'a> {
    /// Takes the name of an Availability Zone, a Local Zone or a Wavelength Zone apart.
    pub fn parse(zone: &'a str) -> Option<Self> {
        let digit = zone.find(|letter: char| letter.is_ascii_digit())?;
        let digits = leading_digits(zone.get(digit..)?);
        let (region, rest) = zone.split_at_checked(digit + digits.len())?;
        let words = region.strip_suffix(digits)?.strip_suffix('-')?;
        if !words.contains('-') || !words.split('-').all(is_word) {
            return None;
        }
        let parts: Vec<&str> = rest.split('-').collect();
        let place = match *parts.as_slice() {
            [letter] => Place::Region {
                letter: one_letter(letter)?,
            },
            ["", city, last] if is_word(city) => {
                let number = leading_digits(last);
                Place::City {
                    city,
                    number: Some(number).filter(|number| !number.is_empty())?,
                    letter: one_letter(last.strip_prefix(number)?)?,
                }
            }
            ["", carrier, city, "wlz", number]
                if is_number(carrier.strip_prefix("wl")?) && is_word(city) && is_number(number) =>
            {
                Place::Carrier {
                    carrier,
                    city,
                    number,
                }
            }
            _ => return None,
        };
        Some(Self { region, place })
    }

    /// The region that the zone belongs to.
    pub fn region(&self) -> &'a str {
        self.region
    }

    /// An ID that the zone can have. AWS numbers the Availability Zones of a region otherwise in every
    /// account; here they are in the order of their letters.
    pub fn id(&self) -> String {
        let region: String = self.region.split('-').enumerate().map(short).collect();
        match self.place {
            Place::Region { letter } => format!("{region}-az{}", number_of(letter)),
            Place::City {
                city,
                number,
                letter,
            } => format!("{region}-{city}{number}-az{}", number_of(letter)),
            Place::Carrier {
                carrier,
                city,
                number,
            } => format!("{region}-{carrier}-{city}-wlz{number}"),
        }
    }
}

/// Whether `id` has the format of the ID of a zone `[I67]`. AWS publishes the regions' part of IDs
/// only by examples, so any letters and a number are accepted there.
pub(super) fn is_zone_id(id: &str) -> bool {
    let is_numbered = |part: &str| {
        let word = part.trim_end_matches(|letter: char| letter.is_ascii_digit());
        is_word(word) && word.len() < part.len()
    };
    let has = |part: &str, word: &str| part.strip_prefix(word).is_some_and(is_number);
    let parts: Vec<&str> = id.split('-').collect();
    match *parts.as_slice() {
        [region, zone] => is_numbered(region) && has(zone, "az"),
        [region, city, zone] => is_numbered(region) && is_numbered(city) && has(zone, "az"),
        [region, carrier, city, zone] => {
            is_numbered(region) && has(carrier, "wl") && is_word(city) && has(zone, "wlz")
        }
        _ => false,
    }
}

/// A part of a region's name, as it is in the IDs of zones.
fn short((at, part): (usize, &str)) -> &str {
    match part {
        "northeast" => "ne",
        "northwest" => "nw",
        "southeast" => "se",
        "southwest" => "sw",
        // The isolated partitions differ in the letter after `iso`.
        "isob" => "ib",
        "isoe" => "ie",
        "isof" => "if",
        // The first part is a continent or a country. Numbers are kept.
        part if at == 0 || is_number(part) => part,
        part => part.get(..1).unwrap_or(part),
    }
}

fn number_of(letter: u8) -> u8 {
    letter.saturating_sub(b'a').saturating_add(1)
}

fn leading_digits(text: &str) -> &str {
    let end = text.find(|letter: char| !letter.is_ascii_digit());
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

fn one_letter(text: &str) -> Option<u8> {
    match *text.as_bytes() {
        [letter @ b'a'..=b'z'] => Some(letter),
        _ => None,
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_and_id_follow_from_the_name() {
        for (zone, region, id) in [
            ("us-east-1a", "us-east-1", "use1-az1"),
            ("ap-southeast-2c", "ap-southeast-2", "apse2-az3"),
            ("mx-central-1b", "mx-central-1", "mxc1-az2"),
            ("cn-northwest-1a", "cn-northwest-1", "cnnw1-az1"),
            ("us-gov-west-1b", "us-gov-west-1", "usgw1-az2"),
            ("us-iso-east-1a", "us-iso-east-1", "usie1-az1"),
            ("us-isob-east-1a", "us-isob-east-1", "usibe1-az1"),
            ("us-west-2-lax-1a", "us-west-2", "usw2-lax1-az1"),
            ("us-west-2-lax-1b", "us-west-2", "usw2-lax1-az2"),
            ("us-east-1-chi-2a", "us-east-1", "use1-chi2-az1"),
            ("us-east-1-wl1-bos-wlz-1", "us-east-1", "use1-wl1-bos-wlz1"),
            ("eu-west-2-wl2-man-wlz-1", "eu-west-2", "euw2-wl2-man-wlz1"),
        ] {
            let parsed = Zone::parse(zone).unwrap_or_else(|| panic!("{zone}"));
            assert_eq!((parsed.region(), &*parsed.id()), (region, id), "{zone}");
            assert!(is_zone_id(id), "{id}");
        }
    }

    #[test]
    fn what_is_not_the_id_of_a_zone_is_not_taken_for_one() {
        for text in [
            "",
            "!!",
            "-",
            "use1",
            "az1",
            "use1-",
            "use1-az",
            "use1-aza",
            "use-az1",
            "1-az1",
            "USE1-AZ1",
            "use1-az1\n",
            "use1-lax-az1",
            "use1-lax1",
            "use1-wl1-bos1-wlz1",
            "use1-wl-bos-wlz1",
            "use1-wl1-bos-az1",
            "use1-wl1-bos-wlz1-az1",
            "us-east-1a",
            "us-east-1",
        ] {
            assert!(!is_zone_id(text), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_zone_is_not_taken_for_one() {
        for text in [
            "",
            "1",
            "a",
            "us-east-1",
            "us-east-a",
            "us-east1a",
            "us-1a",
            "-east-1a",
            "us--1a",
            "US-EAST-1A",
            "us-east-1ab",
            "us-east-1-a",
            "us-west-2-lax",
            "us-west-2-lax-1",
            "us-west-2-lax-a",
            "us-west-2--1a",
            "us-west-2-lax-1a-",
            "us-east-1-wl-bos-wlz-1",
            "us-east-1-wl1-bos-wlz",
            "us-east-1-wl1-bos-wlz-a",
            "us-east-1-wl1-bos-1a",
            "us-east-1ä",
            "ü-east-1a",
        ] {
            assert_eq!(Zone::parse(text), None, "{text}");
        }
    }
}
