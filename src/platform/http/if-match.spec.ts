import { VersionMismatch } from '../errors/domain-errors';
import { assertVersion } from './if-match';

describe('If-Match', () => {
  it.each([undefined, '*', '"3"', '3', '"2", "3"', '"2","3" , "4"', 'W/"3"'])(
    'holds for version 3 when it is %p',
    (header) => {
      expect(() => assertVersion(header, 3)).not.toThrow();
    },
  );

  it.each(['', '"2"', '2', '"33"', '"3x"', 'x', '""', '"3.0"', '-3', '"2", "4"', '3 4'])(
    'does not hold for version 3 when it is %p',
    (header) => {
      expect(() => assertVersion(header, 3)).toThrow(VersionMismatch);
    },
  );

  it('tells the current version when it does not hold', () => {
    try {
      assertVersion('"1"', 7);
    } catch (error) {
      expect(error).toMatchObject({ code: 'version_mismatch', members: { current_version: 7 } });
    }
    expect.assertions(1);
  });
});
