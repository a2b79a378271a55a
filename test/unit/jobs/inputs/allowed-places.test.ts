/** Which addresses inputs may come from: what is public, and what the operator lists. */
import { describe, expect, it } from 'vitest';
import { AllowedPlaces } from '../../../../src/jobs/inputs/allowed-places.ts';
import { otherAddresses, publicAddresses } from '../../../support/addresses.ts';

const isAllowed = (url: string, address: string, allow: readonly string[] = []) =>
  new AllowedPlaces(allow).judge(new URL(url), address) === undefined;

describe('places that inputs may come from', () => {
  it.each(publicAddresses)('are public, as %s is, by https', (address) => {
    expect(isAllowed('https://a.example/x', address)).toBe(true);
    expect(isAllowed('http://a.example/x', address)).toBe(false);
  });

  it.each(otherAddresses)('are not %j, which is not public', (address) => {
    expect(isAllowed('https://a.example/x', address)).toBe(false);
  });

  it('are asked by plain http too where it is known beforehand what has to come, and are public all the same', () => {
    const places = new AllowedPlaces([], { isPlainFine: true });

    expect(places.judge(new URL('http://a.example:8000/x'), '1.1.1.1')).toBeUndefined();
    expect(places.judge(new URL('http://a.example:8000/x'), '10.0.0.1')).toContain('not public');
  });

  it('are also what the operator lists by name and port, over plain http too', () => {
    const allow = ['Store.internal:9000', '[::1]:8080'];

    expect(isAllowed('http://store.internal:9000/x', '10.0.0.1', allow)).toBe(true);
    expect(isAllowed('http://[::1]:8080/x', '::1', allow)).toBe(true);
    expect(isAllowed('http://store.internal:9001/x', '10.0.0.1', allow)).toBe(false);
    expect(isAllowed('https://other.internal:9000/x', '10.0.0.1', allow)).toBe(false);
  });

  it('are also what the operator lists by range, under any name', () => {
    const allow = ['10.0.0.0/8', 'fd00::/16', '192.168.1.7'];

    expect(isAllowed('http://any.example/x', '10.200.0.1', allow)).toBe(true);
    expect(isAllowed('https://any.example/x', 'fd00::5', allow)).toBe(true);
    expect(isAllowed('http://any.example/x', '192.168.1.7', allow)).toBe(true);
    expect(isAllowed('http://any.example/x', '192.168.1.8', allow)).toBe(false);
    expect(isAllowed('http://any.example/x', '11.0.0.1', allow)).toBe(false);
  });

  it('are never in the networks of workloads, whatever the operator lists', () => {
    const places = new AllowedPlaces(['10.0.0.0/8', 'store.internal:9000'], { never: ['10.213.0.0/20'] });

    expect(places.judge(new URL('http://any.example/x'), '10.212.0.2')).toBeUndefined();
    expect(places.judge(new URL('http://any.example/x'), '10.213.0.2')).toContain('networks of workloads');
    expect(places.judge(new URL('http://store.internal:9000/x'), '10.213.0.2')).toContain('networks of workloads');
  });

  it('are addresses of the host itself only where the operator lists them, as they are at that moment', () => {
    const own = ['1.1.1.1', '2606:4700::1111'];
    const places = new AllowedPlaces(['1.1.1.1:8443', '8.8.0.0/16'], { own: () => own });

    expect(places.judge(new URL('https://a.example/x'), '1.1.1.1')).toContain('address of this host');
    expect(places.judge(new URL('https://a.example/x'), '2606:4700:0:0::1111')).toContain('address of this host');
    expect(places.judge(new URL('https://1.1.1.1:8443/x'), '1.1.1.1')).toBeUndefined();
    expect(places.judge(new URL('https://a.example/x'), '9.9.9.9')).toBeUndefined();
    own.push('8.8.8.8', '9.9.9.9');
    expect(places.judge(new URL('https://a.example/x'), '8.8.8.8')).toBeUndefined();
    expect(places.judge(new URL('https://a.example/x'), '9.9.9.9')).toContain('address of this host');
  });
});
