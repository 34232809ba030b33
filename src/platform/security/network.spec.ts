import { networkOf } from './network';

describe('The network of an address', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::FFFF:cb00:7107', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::'],
    ['2001:DB8:1:2::', '2001:db8:1:2::'],
    ['2001:db8:1:3::', '2001:db8:1:3::'],
    ['fe80::1%eth0', 'fe80::'],
    [undefined, 'unknown'],
    ['x'.repeat(10_000), 'x'.repeat(64)],
  ])('%p is %s', (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});
