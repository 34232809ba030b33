import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type CryptoKey, type JWK, SignJWT } from 'jose';

export const ISSUER = 'https://idp.example';
export const AUDIENCE = 'stock';

export interface SigningKey {
  kid: string;
  alg: string;
  privateKey: CryptoKey;
  publicJwk: JWK;
}

export async function aKey(kid: string, alg = 'ES256'): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

/** An identity provider, as far as it shows: a server that hands out public keys. */
export class IdentityProvider {
  /** What it hands out. */
  keys: JWK[] = [];
  /** How often it was asked. */
  asked = 0;
  /** What it does instead of handing out keys. */
  trouble?: (response: { end(body?: string): void; writeHead(status: number, headers?: object): void }) => void;

  private constructor(private readonly server: Server) {}

  static async start(...keys: SigningKey[]): Promise<IdentityProvider> {
    const server = createServer((_request, response) => {
      provider.asked += 1;
      if (provider.trouble) {
        provider.trouble(response);
        return;
      }
      response.setHeader('Content-Type', 'application/json').end(JSON.stringify({ keys: provider.keys }));
    });
    const provider = new IdentityProvider(server);
    provider.publish(...keys);
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    return provider;
  }

  get jwksUrl(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/keys`;
  }

  publish(...keys: SigningKey[]): void {
    this.keys = keys.map(({ publicJwk }) => publicJwk);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((closed) => this.server.close(closed));
  }
}

/** The value of an Authorization header: a token as the provider issues it, but for these claims and header fields. */
export async function externalToken(key: SigningKey, claims: object, header: object = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const usual = { iss: ISSUER, aud: AUDIENCE, iat: now, exp: now + 7200 };
  const token = new SignJWT({ ...usual, ...claims }).setProtectedHeader({ alg: key.alg, kid: key.kid, ...header });
  return `Bearer ${await token.sign(key.privateKey)}`;
}
