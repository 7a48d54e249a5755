use std::collections::BTreeMap;

/// Says which tool call of a streamed message a piece belongs to, also where a service numbers its calls badly: gives
/// every one the index 0, or no index at all.
///
/// One per message. The first 1024 calls are told apart; what comes after them goes to the last one.
///
/// ```
/// use modelswitch_provider::ToolCallSlots;
///
/// let mut slots = ToolCallSlots::default();
/// assert_eq!(slots.slot(Some(0), Some("call_a")), 0);
/// assert_eq!(slots.slot(Some(0), None), 0);
/// // Another id under the same index is another call, and what follows is its own.
/// assert_eq!(slots.slot(Some(0), Some("call_b")), 1);
/// assert_eq!(slots.slot(Some(0), None), 1);
/// // Without an index the id decides, and without an id it goes on.
/// assert_eq!(slots.slot(None, Some("call_a")), 0);
/// assert_eq!(slots.slot(None, None), 0);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ToolCallSlots {
    /// The id of the call in each slot; `None` until one is known.
    calls: BTreeMap<u32, Option<String>>,
    /// Where the pieces of an index go that stands for more than one call.
    moved: BTreeMap<u32, u32>,
    last: u32,
}

/// No message has so many calls; a service that opens more is broken or means harm.
const MOST_CALLS: usize = 1024;

impl ToolCallSlots {
    /// The slot of a piece with this index and this id. An empty id counts as none.
    pub fn slot(&mut self, index: Option<u32>, id: Option<&str>) -> u32 {
        let id = id.filter(|id| !id.is_empty());
        self.last = match (index, id) {
            (Some(index), id) => self.with_index(index, id),
            (None, Some(id)) => self.with_id(id),
            (None, None) => self.open(self.last, None),
        };
        self.last
    }

    /// Where a piece with this index and without an id would go, without sending it there.
    ///
    /// ```
    /// use modelswitch_provider::ToolCallSlots;
    ///
    /// let mut slots = ToolCallSlots::default();
    /// slots.slot(Some(0), Some("call_a"));
    /// slots.slot(Some(0), Some("call_b"));
    /// assert_eq!(slots.of_index(0), 1);
    /// ```
    pub fn of_index(&self, index: u32) -> u32 {
        self.moved.get(&index).copied().unwrap_or(index)
    }

    fn with_index(&mut self, index: u32, id: Option<&str>) -> u32 {
        let slot = self.of_index(index);
        let (Some(Some(known)), Some(id)) = (self.calls.get(&slot), id) else { return self.open(slot, id) };
        if known == id {
            return slot;
        }
        let slot = self.with_id(id);
        self.moved.insert(index, slot);
        slot
    }

    fn with_id(&mut self, id: &str) -> u32 {
        if let Some((slot, _)) = self.calls.iter().find(|(_, known)| known.as_deref() == Some(id)) {
            return *slot;
        }
        let next = self.calls.last_key_value().map_or(Some(0), |(highest, _)| highest.checked_add(1));
        next.map_or(self.last, |next| self.open(next, Some(id)))
    }

    /// Takes a slot, and learns its id if it had none.
    fn open(&mut self, slot: u32, id: Option<&str>) -> u32 {
        if self.calls.len() >= MOST_CALLS && !self.calls.contains_key(&slot) {
            return self.last;
        }
        let known = self.calls.entry(slot).or_default();
        if known.is_none() {
            *known = id.map(str::to_owned);
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Piece = (Option<u32>, Option<&'static str>);

    fn check(pieces: &[(Piece, u32)]) {
        let mut slots = ToolCallSlots::default();
        for ((index, id), slot) in pieces {
            assert_eq!(slots.slot(*index, *id), *slot, "{index:?} {id:?} of {pieces:?}");
        }
    }

    #[test]
    fn an_index_is_the_slot() {
        check(&[
            ((Some(0), Some("a")), 0),
            ((Some(3), Some("b")), 3),
            ((Some(0), None), 0),
            ((Some(3), None), 3),
        ]);
        check(&[((Some(0), None), 0), ((Some(0), Some("a")), 0), ((Some(0), Some("")), 0)]);
    }

    #[test]
    fn another_id_under_one_index_is_another_call() {
        check(&[
            ((Some(0), Some("a")), 0),
            ((Some(0), None), 0),
            ((Some(0), Some("b")), 1),
            ((Some(0), None), 1),
            ((Some(0), Some("")), 1),
            ((Some(0), Some("a")), 0),
            ((Some(0), Some("c")), 2),
            ((Some(0), None), 2),
        ]);
    }

    #[test]
    fn an_index_whose_slot_was_given_away_gets_one_of_its_own() {
        check(&[
            ((Some(0), Some("a")), 0),
            ((Some(0), Some("b")), 1),
            ((Some(1), Some("c")), 2),
            ((Some(1), None), 2),
            ((Some(0), None), 1),
        ]);
    }

    #[test]
    fn without_an_index_the_id_decides_and_then_the_last_call() {
        check(&[
            ((None, None), 0),
            ((None, Some("a")), 1),
            ((None, None), 1),
            ((None, Some("b")), 2),
            ((None, Some("a")), 1),
            ((None, Some("")), 1),
        ]);
        check(&[
            ((Some(0), Some("a")), 0),
            ((Some(1), Some("b")), 1),
            ((None, None), 1),
            ((None, Some("c")), 2),
        ]);
    }

    #[test]
    fn it_holds_no_more_calls_than_it_should() {
        let mut slots = ToolCallSlots::default();
        for index in 0..2000 {
            slots.slot(Some(index), None);
            slots.slot(Some(0), Some(&format!("id{index}")));
            slots.slot(None, Some(&format!("other{index}")));
        }
        assert_eq!((slots.calls.len(), slots.moved.len() <= MOST_CALLS), (MOST_CALLS, true));
        assert!(slots.calls.contains_key(&slots.last));
        check(&[((Some(u32::MAX), Some("a")), u32::MAX), ((Some(u32::MAX), Some("b")), u32::MAX)]);
    }
}
