// What ldapts on Node sees: one line "case<TAB>result" for each case of tests/py/test_clients.py.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const modules = process.env.NODE_MODULES;
const require = createRequire(`${modules}/`);
const { Attribute, Change, Client, Control, ModifyDNRequest, ServerSideSortingRequestControl } = require('ldapts');
const version = JSON.parse(readFileSync(`${modules}/ldapts/package.json`)).version;

const { URI: uri, LDAPS_URI: ldapsUri, CA: caFile, BASE: base, ADMIN: admin, PASSWORD: password } = process.env;
const ca = [readFileSync(caFile)];
const client = new Client({ url: uri, timeout: 30000 });

const lab = `ou=controls,${base}`;
const joined = (list) => [...list].sort().join('|');
const rdnValue = (dn) => dn.replace(/^[^=]*=/, '').replace(/,.*$/s, '');
const names = (result) => joined(result.searchEntries.map((e) => rdnValue(e.dn)));
const list = (value) => (value === undefined ? [] : Array.isArray(value) ? value : [value]);
const found = async (filter) => names(await client.search(base, { filter }));
const entry = async (dn, attributes = []) => (await client.search(dn, { scope: 'base', attributes })).searchEntries[0];
const valuesOf = async (dn, attribute) => joined(list((await entry(dn, [attribute]))[attribute]));
// The library adds each name that was asked for, with an empty list.
const attributesOf = async (dn, attributes) => {
  const { dn: _, ...seen } = await entry(dn, attributes);
  return Object.keys(seen).filter((a) => seen[a].length > 0);
};
const whoAmI = async (c) => (await c.exop('1.3.6.1.4.1.4203.1.11.3')).value ?? '';
const change = (operation, type, ...values) => new Change({ operation, modification: new Attribute({ type, values }) });

// The result code of what is done: 0, or that of the error which the library throws.
const code = async (promise) => {
  try {
    await promise;
    return '0';
  } catch (error) {
    if (error.code === undefined) throw error;
    return String(error.code);
  }
};
const codes = async (...actions) => {
  const seen = [];
  for (const action of actions) seen.push(await code(action()));
  return seen.join(' ');
};
const withClient = async (run, options = {}) => {
  const own = new Client({ url: uri, timeout: 30000, ...options });
  try {
    return await run(own);
  } finally {
    await own.unbind();
  }
};
const bindCode = (dn, secret) => withClient((c) => code(c.bind(dn, secret)));
const person = (uid, more = {}, dn = `uid=${uid},${base}`) =>
  client.add(dn, { objectClass: 'inetOrgPerson', uid, cn: `Person ${uid}`, sn: uid, ...more });
const unit = (dn, ou) => client.add(dn, { objectClass: 'organizationalUnit', ou });

// RFC 3062: a sequence of [0] user, [1] old and [2] new password, each short.
const passwordModify = async (c, user, old, fresh) => {
  const fields = [user, old, fresh].flatMap((text, n) =>
    text === undefined ? [] : [Buffer.from([0x80 + n, Buffer.byteLength(text)]), Buffer.from(text)],
  );
  const body = Buffer.concat(fields);
  return c.exop('1.3.6.1.4.1.4203.1.11.1', Buffer.concat([Buffer.from([0x30, body.length]), body]));
};

const cases = {
  bind_simple: () => code(client.bind(admin, password)),
  bind_wrong_password: () => bindCode(admin, 'wrong'),
  bind_unknown_name: () => bindCode(`cn=nobody,${base}`, 'wrong'),
  bind_invalid_name: () => bindCode('no name', 'wrong'),
  bind_without_password: () => bindCode(admin, ''),
  bind_anonymous: () => withClient(async (c) => `${await code(c.bind('', ''))} ${await whoAmI(c)}`),
  failed_bind_is_anonymous: () =>
    withClient(async (c) => {
      await c.bind(admin, password);
      await code(c.bind(admin, 'wrong'));
      return whoAmI(c);
    }),
  starttls: () =>
    withClient(async (c) => {
      await c.startTLS({ ca });
      await c.bind(admin, password);
      return whoAmI(c);
    }),
  starttls_other_authority: () =>
    withClient(async (c) => {
      try {
        await c.startTLS({});
        return 'accepted';
      } catch {
        return 'refused';
      }
    }),
  ldaps: () =>
    withClient(
      async (c) => {
        await c.bind(admin, password);
        return whoAmI(c);
      },
      { url: ldapsUri, tlsOptions: { ca } },
    ),

  add: () =>
    codes(
      () => unit(base, 'clients'),
      () => person('one', { mail: ['one@example.org', 'first@example.org'], employeeNumber: '7', userPassword: 'first-password' }),
      () => person('two', { description: '(a*b)\\c' }),
      () => person('three', { manager: `uid=one,${base}` }),
      () => unit(`ou=below,${base}`, 'below'),
      () => person('four', {}, `uid=four,ou=below,${base}`),
    ),
  add_existing: () => code(person('one')),
  add_without_parent: () => code(person('x', {}, `uid=x,ou=none,${base}`)),
  add_without_must: () => code(client.add(`uid=x,${base}`, { objectClass: 'inetOrgPerson', uid: 'x', cn: 'x' })),
  add_unknown_attribute: () => code(person('x', { noSuchAttribute: 'x' })),
  add_invalid_name: () => code(person('x', {}, 'uid=x,,')),

  search_base: async () => names(await client.search(base, { scope: 'base' })),
  search_one: async () => names(await client.search(base, { scope: 'one' })),
  search_sub: () => found('(objectClass=*)'),
  search_no_such_base: () => code(client.search(`ou=none,ou=below,${base}`)),
  filter_equality: () => found('(UID=One)'),
  filter_and_or_not: () => found('(&(objectClass=person)(|(uid=one)(uid=two)(uid=three))(!(uid=two)))'),
  filter_substring: () => found('(cn=per*n t*)'),
  filter_present: () => found('(mail=*)'),
  filter_order: () => found('(&(uid=*)(createTimestamp>=20200101000000Z)(createTimestamp<=99991231235959Z))'),
  filter_approx: () => found('(cn~=person ONE)'),
  filter_extensible: () => found('(sn:caseExactMatch:=one)'),
  filter_extensible_dn: () => found('(ou:dn:=below)'),
  filter_escapes: () => found('(description=\\28a\\2ab\\29\\5cc)'),
  filter_supertype: () => found('(name=person one)'),
  filter_unknown: () => found('(|(noSuchAttribute=x)(uid=one))'),
  filter_not_unknown: () => found('(!(noSuchAttribute=x))'),
  attributes_listed: async () => joined((await attributesOf(`uid=one,${base}`, ['cn', 'MAIL'])).map((a) => a.toLowerCase())),
  attributes_none: async () => joined(await attributesOf(`uid=one,${base}`, ['1.1'])),
  attributes_operational: async () => {
    const seen = (await attributesOf(`uid=one,${base}`, ['+'])).map((a) => a.toLowerCase());
    return joined(seen.filter((a) => ['cn', 'entryuuid', 'creatorsname', 'structuralobjectclass'].includes(a)));
  },
  attributes_of_class: async () => joined((await attributesOf(`uid=one,${base}`, ['@person'])).map((a) => a.toLowerCase())),
  types_only: async () => {
    const result = await client.search(`uid=one,${base}`, { scope: 'base', attributes: ['cn', 'sn'], returnAttributeValues: false });
    const { dn, ...attributes } = result.searchEntries[0];
    return joined(Object.entries(attributes).map(([name, values]) => `${name}=${list(values).length}`));
  },
  size_limit: async () => String((await client.search(base, { filter: '(objectClass=person)', sizeLimit: 2 })).searchEntries.length),
  root_dse: async () => {
    const dse = await entry('', ['namingContexts', 'supportedLDAPVersion']);
    return `${joined(list(dse.namingContexts))} ${joined(list(dse.supportedLDAPVersion))}`;
  },

  binary: async () => {
    const bytes = Buffer.from([0xff, 0xd8, 0, 10, 13, 255, 0, 128]);
    const done = await code(client.modify(`uid=one,${base}`, change('add', 'jpegPhoto', bytes)));
    const read = await client.search(`uid=one,${base}`, { scope: 'base', attributes: ['jpegPhoto'], explicitBufferAttributes: ['jpegPhoto'] });
    return `${done} ${list(read.searchEntries[0].jpegPhoto)[0].toString('hex')}`;
  },
  large_value: async () => {
    const bytes = Buffer.alloc(1_000_000);
    for (let n = 0; n < 250_000; n += 1) bytes.writeUInt32BE(n + 1, n * 4);
    const done = await code(client.modify(`uid=two,${base}`, change('replace', 'jpegPhoto', bytes)));
    const read = await client.search(`uid=two,${base}`, { scope: 'base', attributes: ['jpegPhoto'], explicitBufferAttributes: ['jpegPhoto'] });
    return `${done} ${list(read.searchEntries[0].jpegPhoto)[0].equals(bytes) ? 'same' : 'different'}`;
  },
  non_ascii: async () => {
    const cn = 'Élodie Œuvre 日本';
    const done = await code(client.add(`cn=${cn},${base}`, { objectClass: 'person', cn, sn: 'Ça' }));
    return `${done} ${await found('(sn=ça)')} ${await code(client.del(`cn=${cn},${base}`))}`;
  },
  escapes_in_names: async () => {
    const dn = `cn=\\20a\\,b\\+c\\"d\\;e\\\\f\\3d\\20,${base}`;
    const done = await code(client.add(dn, { objectClass: 'person', cn: ' a,b+c"d;e\\f= ', sn: 'x' }));
    const sn = await valuesOf(dn, 'sn');
    return `${done} ${sn} ${await code(client.del(`CN=a\\2cb\\2Bc\\22d\\3be\\5cf\\=,${base}`))}`;
  },
  two_values_in_rdn: () =>
    codes(
      () => client.add(`cn=Two+sn=Values,${base}`, { objectClass: 'person', cn: 'Two', sn: 'Values' }),
      () => client.del(`sn=VALUES + cn=two,${base}`),
    ),

  compare_true: async () => String(await client.compare(`uid=one,${base}`, 'mail', 'ONE@example.org')),
  compare_false: async () => String(await client.compare(`uid=one,${base}`, 'mail', 'other@example.org')),
  compare_no_attribute: () => code(client.compare(`uid=two,${base}`, 'mail', 'x')),
  compare_no_entry: () => code(client.compare(`uid=none,${base}`, 'mail', 'x')),

  modify: async () => {
    const one = `uid=one,${base}`;
    const done = await code(
      client.modify(one, [
        change('delete', 'mail', 'first@example.org'),
        change('add', 'mail', 'second@example.org'),
        change('replace', 'sn', 'Changed'),
        change('replace', 'title'),
        change('add', 'description', 'red', 'blue'),
      ]),
    );
    return `${done} ${await valuesOf(one, 'mail')} ${await valuesOf(one, 'sn')} ${await valuesOf(one, 'description')}`;
  },
  modify_all_or_nothing: async () => {
    const one = `uid=one,${base}`;
    const done = await code(client.modify(one, [change('replace', 'sn', 'Half'), change('delete', 'mail', 'none@example.org')]));
    return `${done} ${await valuesOf(one, 'sn')}`;
  },
  modify_add_existing: () => code(client.modify(`uid=one,${base}`, change('add', 'description', 'RED'))),
  modify_delete_whole: () => code(client.modify(`uid=one,${base}`, change('delete', 'description'))),
  modify_rdn: () => code(client.modify(`uid=one,${base}`, change('replace', 'uid', 'other'))),
  modify_no_entry: () => code(client.modify(`uid=none,${base}`, change('replace', 'sn', 'x'))),

  // The library itself always deletes the old RDN; its message class can do otherwise.
  rename_keeps_old: async () => {
    const plain = ModifyDNRequest.prototype.writeMessage;
    ModifyDNRequest.prototype.writeMessage = function write(writer) {
      this.deleteOldRdn = false;
      plain.call(this, writer);
    };
    const done = await code(client.modifyDN(`uid=two,${base}`, 'uid=zwei'));
    ModifyDNRequest.prototype.writeMessage = plain;
    return `${done} ${await valuesOf(`uid=zwei,${base}`, 'uid')}`;
  },
  rename_deletes_old: async () => `${await code(client.modifyDN(`uid=zwei,${base}`, 'uid=deux'))} ${await valuesOf(`uid=deux,${base}`, 'uid')}`,
  rename_case_only: async () => `${await code(client.modifyDN(`uid=deux,${base}`, 'uid=Deux'))} ${await valuesOf(`uid=deux,${base}`, 'uid')}`,
  rename_existing: () => code(client.modifyDN(`uid=deux,${base}`, 'uid=one')),
  move: async () => {
    const done = await code(client.modifyDN(`uid=deux,${base}`, `uid=deux,ou=below,${base}`));
    return `${done} ${names(await client.search(`ou=below,${base}`, { scope: 'one' }))}`;
  },
  move_subtree: async () => {
    const done = await code(client.modifyDN(`ou=below,${base}`, 'ou=moved'));
    return `${done} ${names(await client.search(`ou=moved,${base}`))}`;
  },
  move_below_itself: async () => ((await code(client.modifyDN(`ou=moved,${base}`, `ou=moved,uid=deux,ou=moved,${base}`))) === '0' ? 'moved' : 'refused'),
  move_to_nowhere: () => code(client.modifyDN(`uid=one,${base}`, `uid=one,ou=none,${base}`)),

  who_am_i: () => whoAmI(client),
  password_modify: async () => {
    const one = `uid=one,${base}`;
    const done = await withClient(async (c) => {
      await c.bind(one, 'first-password');
      return code(passwordModify(c, undefined, 'first-password', 'second-password'));
    });
    return `${done} ${await bindCode(one, 'first-password')} ${await bindCode(one, 'second-password')}`;
  },
  password_modify_other: async () => {
    const one = `uid=one,${base}`;
    return `${await code(passwordModify(client, one, undefined, 'third-password'))} ${await bindCode(one, 'third-password')}`;
  },
  unknown_extended: () => code(client.exop('1.3.6.1.4.1.4203.666.99.1', 'x')),
  unknown_critical_control: () => code(client.search(base, { scope: 'base' }, new Control('1.3.6.1.4.1.4203.666.99.2', { critical: true }))),
  unknown_control: () => code(client.search(base, { scope: 'base' }, new Control('1.3.6.1.4.1.4203.666.99.2'))),

  // Controls, on a branch of their own.
  controls_add: () =>
    codes(
      () => unit(lab, 'controls'),
      ...[1, 2, 3, 4, 5].map((n) => () => person(`p${n}`, { sn: `Name ${6 - n}`, description: ['red', 'blue'] }, `uid=p${n},${lab}`)),
    ),
  paged: async () => {
    const sizes = [];
    const seen = [];
    for await (const page of client.searchPaginated(lab, { scope: 'one', filter: '(objectClass=person)', paged: { pageSize: 2 } })) {
      sizes.push(page.searchEntries.length);
      seen.push(...page.searchEntries.map((e) => e.uid));
    }
    return `${sizes.join(' ')} ${joined(seen)}`;
  },
  sorted_reversed: async () => {
    const control = new ServerSideSortingRequestControl({ critical: true, value: { attributeType: 'sn', reverseOrder: true } });
    const result = await client.search(lab, { scope: 'one', filter: '(objectClass=person)' }, control);
    return result.searchEntries.map((e) => e.uid).join(' ');
  },
  permissive_modify: () => {
    const permissive = new Control('1.2.840.113556.1.4.1413', { critical: true });
    const two = `uid=p2,${lab}`;
    return codes(
      () => client.modify(two, change('add', 'description', 'RED'), permissive),
      () => client.modify(two, change('delete', 'title', 'none'), permissive),
    );
  },
  tree_delete: async () => {
    const tree = `ou=tree,${lab}`;
    await unit(tree, 'tree');
    await person('leaf', {}, `uid=leaf,${tree}`);
    return codes(
      () => client.del(tree),
      () => client.del(tree, new Control('1.2.840.113556.1.4.805', { critical: true })),
      () => client.search(tree),
    );
  },

  delete_non_leaf: () => code(client.del(`ou=moved,${base}`)),
  delete: async () => `${await code(client.del(`uid=one,${base}`))} ${await code(client.search(`uid=one,${base}`, { scope: 'base' }))}`,
  delete_no_entry: () => code(client.del(`uid=none,${base}`)),
  unbind: () => code(client.unbind()),
};

for (const [name, run] of Object.entries(cases)) {
  let result;
  try {
    result = await run();
  } catch (error) {
    result = `error: ${error.stack}`;
  }
  console.log(`${name}\t${String(result).replace(/\s+/g, ' ')}`);
}
console.log(`client\tldapts ${version} on Node ${process.version}`);
