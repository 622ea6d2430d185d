use super::*;

#[test]
fn a_prefix_is_a_netmask() {
    assert_eq!(netmask(0).unwrap(), Ipv4Addr::new(0, 0, 0, 0));
    assert_eq!(netmask(24).unwrap(), Ipv4Addr::new(255, 255, 255, 0));
    assert_eq!(netmask(32).unwrap(), Ipv4Addr::BROADCAST);
    assert!(netmask(33).is_err());
}

#[test]
fn an_address_stands_in_network_order_behind_family_and_port() {
    let address = inet(Ipv4Addr::new(10, 0, 0, 200));
    assert_eq!(i32::from(address.sa_family), libc::AF_INET);
    let bytes: Vec<u8> = address.sa_data.iter().map(|c| c.to_ne_bytes()[0]).collect();
    assert_eq!(bytes[..8], [0, 0, 10, 0, 0, 200, 0, 0]);
}

#[test]
fn a_name_that_does_not_fit_is_refused() {
    assert!(request("eth0").is_ok());
    assert!(request("a-name-of-16-chr").is_err());
}

#[test]
fn a_card_that_is_not_there_is_named_with_those_that_are() {
    let nic = Nic {
        mac: "52:54:00:ff:ff:fe".into(),
        address: "10.0.0.1".into(),
        prefix: 24,
        mtu: 1500,
        fd: None,
    };
    let error = format!("{:#}", configure(&nic).unwrap_err());
    assert!(error.contains("no card has this address; there are: "), "{error}");
}
