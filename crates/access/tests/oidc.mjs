// A real OpenID provider on loopback, for tests: `node oidc.mjs NODE_MODULES REDIRECT_URI`. Prints its issuer, and ends
// with its standard input. Whoever signs in gets the groups of their name: `ada` those of a developer.
import http from 'node:http';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, redirect] = process.argv.slice(2);
const entry = path.join(modules, 'oidc-provider', 'lib', 'index.js');
const { Provider } = await import(pathToFileURL(entry));

const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{ client_id: 'ci', client_secret: 'a secret/with+signs', redirect_uris: [redirect] }],
    scopes: ['openid', 'email', 'groups'],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'] },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        email: `${id}@example.org`,
        email_verified: true,
        groups: id === 'ada' ? ['dev', 'all'] : ['all'],
      }),
    }),
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
process.stdin.resume().on('end', () => process.exit(0));
