//! How many connections one address may have open at once.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

/// Connections open now, by address. An IPv6 network of 64 bits counts as one address, since
/// a single machine has all of it.
#[derive(Debug)]
pub struct AddressCap {
    max: usize,
    exempt: Vec<IpNet>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl AddressCap {
    /// Up to `max` connections of each address that is not in a network of `exempt`.
    pub fn new(max: usize, exempt: Vec<IpNet>) -> Self {
        Self {
            max,
            exempt,
            open: Mutex::default(),
        }
    }

    /// Counts a connection until what is returned is dropped; `None` if there is no room.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Entered> {
        let address = address.to_canonical();
        if self.exempt.iter().any(|network| network.contains(&address)) {
            return Some(Entered(None));
        }
        let address = machine(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Entered(Some((Arc::clone(self), address))))
    }

    fn leave(&self, address: IpAddr) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&address) {
            *count -= 1;
            // Who is gone takes no memory.
            if *count == 0 {
                open.remove(&address);
            }
        }
    }
}

fn machine(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// A connection that counts.
#[derive(Debug)]
pub struct Entered(Option<(Arc<AddressCap>, IpAddr)>);

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some((cap, address)) = self.0.take() {
            cap.leave(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cap(max: usize) -> Arc<AddressCap> {
        let exempt = vec!["10.0.0.0/8".parse().expect("a network")];
        Arc::new(AddressCap::new(max, exempt))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn each_address_has_its_own_room_and_gives_it_back() {
        let cap = cap(2);
        let first = cap.enter(address("192.0.2.1")).expect("room");
        let _second = cap
            .enter(address("::ffff:192.0.2.1"))
            .expect("the same address, room");
        assert!(cap.enter(address("192.0.2.1")).is_none());
        let other = cap.enter(address("192.0.2.2")).expect("another address");
        drop((first, other));
        let _again = cap.enter(address("192.0.2.1")).expect("room again");
        let open = cap.open.lock().expect("not poisoned");
        assert_eq!(open.len(), 1, "who is gone is forgotten: {open:?}");
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_address() {
        let cap = cap(1);
        let _held = cap.enter(address("2001:db8::1")).expect("room");
        assert!(cap.enter(address("2001:db8::ffff:1")).is_none());
        assert!(cap.enter(address("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn a_proxy_is_not_counted() {
        let cap = cap(0);
        assert!(cap.enter(address("10.1.2.3")).is_some());
        assert!(cap.enter(address("::ffff:10.1.2.3")).is_some());
        assert!(cap.enter(address("192.0.2.1")).is_none());
    }
}
