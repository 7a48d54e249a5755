//! Budgets that can only refuse, since no price is known for what they are to hold.

use std::sync::Arc;

use crate::config::{BudgetConfig, Config, Unpriced, Word};
use crate::connect::Connected;
use crate::mistake::dotted;
use crate::resolve::{Names, Target};
use crate::spend::PriceList;

/// A warning for each budget and each name whose calls all fail for want of a price.
pub(crate) fn unpriced(names: &Names, config: &Config, providers: &Arc<[Arc<Connected>]>) -> Vec<String> {
    let of_all = config.budget.as_ref().and_then(|budget| Holding::of(&["budget"], budget, providers));
    let own = providers.iter().filter_map(|one| {
        let budget = one.made.as_ref()?.config.budget.as_ref()?;
        let name = one.info.name.as_str();
        Holding::of(&["providers", name, "budget"], budget, providers)?.without_any([name].into_iter())
    });
    let of_aliases = names.aliases().filter_map(|(alias, target)| {
        let budget = target.choice.as_ref()?.layers.budget.as_ref()?;
        Holding::of(&["models", alias, "budget"], budget, providers)?
            .without(&dotted(&["models", alias]), target)
    });
    let common = of_all.map(|budget| budget.told_of_all(names, config, providers)).unwrap_or_default();
    common.into_iter().chain(own).chain(of_aliases).collect()
}

/// A budget that refuses what has no price.
struct Holding<'a> {
    path: String,
    currency: &'a str,
    prices: PriceList,
}

impl<'a> Holding<'a> {
    fn of(path: &[&str], config: &'a BudgetConfig, providers: &Arc<[Arc<Connected>]>) -> Option<Self> {
        if let Some(Word(Unpriced::Pass)) = config.unpriced {
            return None;
        }
        let (_, amount) = config.amounts().next()?;
        let currency = amount.currency.as_str();
        Some(Self { path: dotted(path), currency, prices: PriceList::new(providers, Some(currency)) })
    }

    /// The budget at the top: of all providers, else of the names that it holds.
    fn told_of_all(&self, names: &Names, config: &Config, providers: &[Arc<Connected>]) -> Vec<String> {
        if let Some(told) = self.without_any(providers.iter().map(|one| one.info.name.as_str())) {
            return vec![told];
        }
        let aliases = names.aliases().map(|(alias, target)| (dotted(&["models", alias]), target));
        // One that nobody wrote may be what nobody asks for.
        let is_written = config.default.is_some();
        let default = names.default.iter().filter(|target| is_written && target.alias.is_none());
        let asked = aliases.chain(default.map(|target| ("default".to_owned(), target)));
        asked.filter_map(|(path, target)| self.without(&path, target)).collect()
    }

    fn without_any<'b>(&self, mut providers: impl Iterator<Item = &'b str>) -> Option<String> {
        let Self { path, currency, .. } = self;
        (!providers.any(|name| self.prices.knows_any_of(name))).then(|| {
            format!(
                "`{path}` counts in {currency}, and no price of what it holds is known in it, so it refuses every call: \
                 write the currency of the prices, give models one ([[profiles.NAME.model.\"MODEL\".prices]]), or \
                 write unpriced = \"pass\" beside the amounts"
            )
        })
    }

    fn without(&self, asked: &str, target: &Target) -> Option<String> {
        let all =
            target.choice.as_ref().map_or(std::slice::from_ref(target), |choice| choice.targets.as_slice());
        if all.iter().any(|one| self.prices.knows(&one.provider, &one.model)) {
            return None;
        }
        let Self { path, currency, .. } = self;
        let targets: Vec<String> = all.iter().map(ToString::to_string).collect();
        Some(format!(
            "`{asked}` leads to nothing that has a price in {currency} ({}), so `{path}` refuses its calls: give one a \
             price ([[profiles.NAME.model.\"MODEL\".prices]]), or write unpriced = \"pass\" beside the amounts",
            targets.join(", ")
        ))
    }
}
