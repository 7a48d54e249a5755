//! What is left on the account, as exact decimals.

use bytes::Bytes;
use http::Method;
use modelswitch_provider::{Document, Endpoint, Error, Payload, Provider, Request, Result};
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::DeepSeek;
use crate::answer;

/// What is left on an account, from <https://api-docs.deepseek.com/api/get-user-balance> (read on 2026-11-21).
///
/// It serialises as DeepSeek writes it: amounts as texts, `balance_infos` for [`infos`](Self::infos).
///
/// ```
/// use modelswitch_deepseek::{Balance, Currency};
///
/// let balance = Balance::from_json(r#"{"is_available":true,"balance_infos":[{"currency":"CNY","total_balance":"110.00",
///     "granted_balance":"10.00","topped_up_balance":"100.00"}]}"#)?;
/// assert_eq!(balance.total(&Currency::Cny).map(|total| total.to_string()).as_deref(), Some("110.00"));
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Balance {
    /// Whether there is enough for a call.
    pub is_available: bool,
    /// One for each currency.
    #[serde(rename = "balance_infos")]
    pub infos: Vec<BalanceInfo>,
}

/// What is left in one currency.
///
/// ```
/// use modelswitch_deepseek::Balance;
///
/// let balance = Balance::from_json(r#"{"is_available":true,"balance_infos":[{"currency":"USD","total_balance":"3.20",
///     "granted_balance":"0.20","topped_up_balance":"3.00"}]}"#)?;
/// let info = &balance.infos[0];
/// assert_eq!(info.granted + info.topped_up, info.total);          // decimals: exact
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BalanceInfo {
    /// The currency.
    pub currency: Currency,
    /// All that is left.
    #[serde(rename = "total_balance")]
    pub total: Decimal,
    /// What was given. It is spent first, and may expire.
    #[serde(rename = "granted_balance")]
    pub granted: Decimal,
    /// What was paid in.
    #[serde(rename = "topped_up_balance")]
    pub topped_up: Decimal,
}

/// A currency by its code.
///
/// ```
/// use modelswitch_deepseek::Currency;
///
/// assert_eq!(Currency::Cny.as_str(), "CNY");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Currency {
    /// Renminbi.
    Cny,
    /// US dollars.
    Usd,
    /// Another one, by the code that DeepSeek gives it.
    Other(String),
}

impl DeepSeek {
    /// What is left on the account that the key belongs to. It costs nothing.
    ///
    /// ```no_run
    /// use modelswitch_deepseek::{Currency, DeepSeek};
    ///
    /// # async fn run() -> modelswitch_provider::Result<()> {
    /// let balance = DeepSeek::from_env()?.balance().await?;
    /// if let Some(dollars) = balance.total(&Currency::Usd) {
    ///     println!("{dollars} dollars are left");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Provider::send), and [`Decode`](modelswitch_provider::ErrorKind::Decode) naming the field that isn't
    /// an amount.
    pub async fn balance(&self) -> Result<Balance> {
        let endpoint = Endpoint::new(Method::GET, "/user/balance")?;
        let (head, body) = answer::json(self.send(Request::new(endpoint, Payload::Empty)).await?).await?;
        Balance::read(body).map_err(|error| head.blame(error).with_status(head.status))
    }
}

impl Balance {
    /// What is left in a currency; `None` where the account has none of it.
    ///
    /// ```
    /// use modelswitch_deepseek::{Balance, Currency};
    ///
    /// let balance = Balance::from_json(r#"{"is_available":true,"balance_infos":[{"currency":"CNY",
    ///     "total_balance":"110.00","granted_balance":"10.00","topped_up_balance":"100.00"}]}"#)?;
    /// assert_eq!(balance.total(&Currency::Cny).map(|total| total.to_string()).as_deref(), Some("110.00"));
    /// assert_eq!(balance.total(&Currency::Usd), None);
    /// # Ok::<(), modelswitch_provider::Error>(())
    /// ```
    pub fn total(&self, currency: &Currency) -> Option<Decimal> {
        let mut totals =
            self.infos.iter().filter(|info| info.currency == *currency).map(|info| info.total).peekable();
        totals.peek()?;
        Some(totals.sum())
    }

    /// Reads DeepSeek's answer, with amounts as texts or as numbers; neither goes through a float.
    ///
    /// # Errors
    /// [`Decode`](modelswitch_provider::ErrorKind::Decode) naming the field that is missing or wrong, never its value.
    pub fn from_json(text: impl Into<Bytes>) -> Result<Self> {
        Self::read(text.into())
    }

    fn read(body: Bytes) -> Result<Self> {
        let keep = body.clone();
        Self::read_document(body).map_err(|error| error.with_upstream_body(keep))
    }

    fn read_document(body: Bytes) -> Result<Self> {
        let object = Document::parse(body).map_err(|_| wrong("the balance", "a JSON object"))?;
        let Some(is_available) = object.bool("is_available") else {
            return Err(wrong("`is_available` of the balance", "true or false"));
        };
        let list = object.get::<Vec<Box<RawValue>>>("balance_infos").ok().flatten();
        let Some(list) = list else { return Err(wrong("`balance_infos` of the balance", "a list")) };
        let infos = list.iter().enumerate().map(|(place, info)| BalanceInfo::read(place, info.get()));
        Ok(Self { is_available, infos: infos.collect::<Result<_>>()? })
    }
}

impl BalanceInfo {
    fn read(place: usize, text: &str) -> Result<Self> {
        let name = |field: &str| format!("`balance_infos[{place}]{field}` of the balance");
        let info =
            Document::parse(text.to_owned()).map_err(|_| wrong(&name(""), "an object with a currency"))?;
        let Some(currency) = info.str("currency") else {
            return Err(wrong(&name(".currency"), "the code of a currency"));
        };
        let amount = |field: &str| {
            let amount = info.get_raw(field).and_then(amount);
            amount.ok_or_else(|| wrong(&name(&format!(".{field}")), "an amount such as \"110.00\""))
        };
        Ok(Self {
            currency: Currency::from(&*currency),
            total: amount("total_balance")?,
            granted: amount("granted_balance")?,
            topped_up: amount("topped_up_balance")?,
        })
    }
}

impl Currency {
    /// Its code, as DeepSeek writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Cny => "CNY",
            Self::Usd => "USD",
            Self::Other(code) => code,
        }
    }
}

impl From<&str> for Currency {
    fn from(code: &str) -> Self {
        match code {
            "CNY" => Self::Cny,
            "USD" => Self::Usd,
            _ => Self::Other(code.to_owned()),
        }
    }
}

impl std::fmt::Display for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An amount from the text of a JSON value.
fn amount(json: &str) -> Option<Decimal> {
    let text = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(json).trim();
    Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text)).ok()
}

fn wrong(what: &str, expected: &str) -> Error {
    Error::decode(format!("{what} is missing or wrong: expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use modelswitch_provider::ErrorKind;
    use serde_json::{Value, json};

    fn with(amount: Value) -> Result<Balance> {
        let info = json!({ "currency": "EUR", "total_balance": amount, "granted_balance": "0", "topped_up_balance": "1" });
        Balance::from_json(json!({ "is_available": true, "balance_infos": [info] }).to_string())
    }

    #[test]
    fn amounts_are_exact_whether_they_come_as_texts_or_as_numbers() {
        for (amount, total) in [
            (json!("110.00"), "110.00"),
            (json!("0.1"), "0.1"),
            (json!("-3.50"), "-3.50"),
            (json!(" 7 "), "7"),
            (json!(110), "110"),
            (json!(0.1), "0.1"),
            (json!("123456789012345678.123456"), "123456789012345678.123456"),
            (json!(1e3), "1000"),
        ] {
            let balance = with(amount.clone()).unwrap();
            let euro = Currency::Other("EUR".to_owned());
            assert_eq!(
                balance.total(&euro).unwrap().normalize(),
                total.parse::<Decimal>().unwrap().normalize()
            );
        }
        assert_eq!(with(json!("110.00")).unwrap().infos[0].total.to_string(), "110.00");
    }

    #[test]
    fn a_wrong_amount_is_named_and_not_repeated() {
        for amount in [json!("hush"), json!(null), json!([1]), json!(""), json!(true), json!("1,5")] {
            let error = with(amount).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode);
            assert!(error.message().contains("`balance_infos[0].total_balance`"), "{error}");
            assert!(!format!("{error:?}").contains("hush"));
        }
        for (text, field) in [
            ("[]", "the balance"),
            ("{}", "`is_available`"),
            (r#"{"is_available":true}"#, "`balance_infos`"),
            (r#"{"is_available":true,"balance_infos":[{}]}"#, "`balance_infos[0].currency`"),
            (r#"{"is_available":true,"balance_infos":[5]}"#, "`balance_infos[0]`"),
        ] {
            assert!(Balance::from_json(text).unwrap_err().message().contains(field), "{text}");
        }
    }

    #[test]
    fn it_serialises_as_deepseek_writes_it() {
        let wire = json!({ "is_available": true, "balance_infos": [{ "currency": "USD", "total_balance": "110.00",
            "granted_balance": "10.00", "topped_up_balance": "100.00" }] });
        let balance = Balance::from_json(wire.to_string()).unwrap();
        assert_eq!(serde_json::to_value(&balance).unwrap(), wire);
    }

    #[test]
    fn several_rows_of_a_currency_are_added() {
        let info = |total: &str| json!({ "currency": "CNY", "total_balance": total, "granted_balance": "0", "topped_up_balance": "0" });
        let wire = json!({ "is_available": true, "balance_infos": [info("0.10"), info("0.20")] });
        let balance = Balance::from_json(wire.to_string()).unwrap();
        assert_eq!(balance.total(&Currency::Cny), "0.30".parse().ok());
    }
}
