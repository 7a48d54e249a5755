//! The events of a stream, as they come.

use modelswitch_provider::Event;

/// Events in blocks, each larger than the one before, so that none is moved when there are more: a vector that grows moves all.
#[derive(Default)]
pub(super) struct Events(Vec<Vec<Event>>);

/// A short answer has no more.
const FIRST_BLOCK: usize = 16;
const LARGEST_BLOCK: usize = 1024;

impl Events {
    pub(super) fn push(&mut self, event: Event) {
        match self.0.last_mut() {
            Some(block) if block.len() < block.capacity() => block.push(event),
            last => {
                let size = last.map_or(FIRST_BLOCK, |full| (2 * full.capacity()).min(LARGEST_BLOCK));
                let mut block = Vec::with_capacity(size);
                block.push(event);
                self.0.push(block);
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Event> {
        self.0.iter().flatten()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_events_are_there_in_their_order() {
        let mut events = Events::default();
        for number in 0..5000_u32 {
            events.push(Event::new(number.to_string()));
        }
        assert!(events.iter().map(|event| event.data.clone()).eq((0..5000_u32).map(|n| n.to_string())));
        events.clear();
        assert_eq!(events.iter().count(), 0);
    }
}
