<?php
// What web applications in PHP send: Moodle, Nextcloud, phpLDAPadmin, Self Service Password.
// Reads addresses, names and passwords as JSON and prints what each case saw, as one JSON object.

$in = json_decode(stream_get_contents(STDIN), true);
ldap_set_option(null, LDAP_OPT_X_TLS_CACERTFILE, $in['ca']);
ldap_set_option(null, LDAP_OPT_X_TLS_REQUIRE_CERT, LDAP_OPT_X_TLS_DEMAND);

function connect(): LDAP\Connection
{
    global $in;
    $link = ldap_connect($in['uri']);
    ldap_set_option($link, LDAP_OPT_PROTOCOL_VERSION, 3);
    ldap_set_option($link, LDAP_OPT_REFERRALS, 0);
    ldap_set_option($link, LDAP_OPT_NETWORK_TIMEOUT, 20);
    return $link;
}

function reader(): LDAP\Connection
{
    global $in;
    $link = connect();
    if (!ldap_start_tls($link) || !ldap_bind($link, $in['reader'], $in['reader_password'])) {
        throw new Exception(ldap_error($link));
    }
    return $link;
}

// The DN of each entry and what was asked, names in lower case as applications compare them.
function entries(LDAP\Connection $link, LDAP\Result $result): array
{
    $found = [];
    foreach (ldap_get_entries($link, $result) as $key => $entry) {
        if ($key === 'count') {
            continue;
        }
        $values = [];
        foreach ($entry as $name => $value) {
            if (is_array($value)) {
                unset($value['count']);
                sort($value);
                $values[$name] = $value;
            }
        }
        $found[$entry['dn']] = $values;
    }
    ksort($found);
    return $found;
}

function find_user(LDAP\Connection $link, string $name): ?string
{
    global $in;
    $filter = '(&(objectClass=person)(uid=' . ldap_escape($name, '', LDAP_ESCAPE_FILTER) . '))';
    // Moodle looks in several contexts, one after the other.
    foreach ([$in['groups'], $in['people']] as $context) {
        $result = ldap_search($link, $context, $filter, ['uid']);
        $entry = ldap_first_entry($link, $result);
        if ($entry) {
            return ldap_get_dn($link, $entry);
        }
    }
    return null;
}

$cases = [
    'moodle_login' => function () use ($in) {
        $answers = [];
        $tries = [[$in['user'], $in['password']], [$in['user'], 'wrong'], ['nobody-here', 'x'], ['*', $in['password']]];
        foreach ($tries as [$name, $password]) {
            $link = reader();
            $dn = find_user($link, $name);
            $answers[] = $dn === null ? 'no such user' : (@ldap_bind($link, $dn, $password) ? 'in' : ldap_errno($link));
            ldap_close($link);
        }
        return $answers;
    },
    'moodle_empty_password' => function () use ($in) {
        $link = connect();
        return [@ldap_bind($link, find_user(reader(), $in['user']), ''), ldap_errno($link)];
    },
    'moodle_group' => function () use ($in) {
        $link = reader();
        $group = 'cn=app-team,' . $in['groups'];
        $count = function ($dn) use ($link, $group) {
            $filter = '(member=' . ldap_escape($dn, '', LDAP_ESCAPE_FILTER) . ')';
            return ldap_count_entries($link, ldap_read($link, $group, $filter, ['member']));
        };
        return [$count(find_user($link, $in['user'])), $count('uid=lbernard,' . $in['people'])];
    },
    'moodle_pages' => function () use ($in) {
        $link = reader();
        [$seen, $sizes, $cookie] = [[], [], ''];
        do {
            $control = [['oid' => LDAP_CONTROL_PAGEDRESULTS, 'value' => ['size' => 7, 'cookie' => $cookie]]];
            $result = ldap_search($link, $in['people'], '(uid=*)', ['uid'], 0, 0, 0, LDAP_DEREF_NEVER, $control);
            ldap_parse_result($link, $result, $code, $matched, $message, $referrals, $controls);
            $page = array_keys(entries($link, $result));
            $seen = array_merge($seen, $page);
            $sizes[] = count($page);
            $cookie = $controls[LDAP_CONTROL_PAGEDRESULTS]['value']['cookie'] ?? '';
        } while ($cookie !== '');
        $whole = array_keys(entries($link, ldap_search($link, $in['people'], '(uid=*)', ['uid'])));
        sort($seen);
        return ['pages' => count($sizes), 'largest' => max($sizes), 'same' => $seen === $whole];
    },
    'nextcloud_probe' => function () use ($in) {
        $link = reader();
        $result = @ldap_search($link, $in['suffix'], '(objectClass=*)', ['dn'], 0, 1);
        return [ldap_count_entries($link, $result), ldap_errno($link)];
    },
    'nextcloud_user' => function () use ($in) {
        $link = reader();
        $asked = ['dn', 'uid', 'samaccountname', 'memberof', 'mail', 'displayname', 'jpegphoto'];
        $filter = '(&(|(objectclass=inetOrgPerson))(uid=' . $in['user'] . '))';
        return entries($link, ldap_search($link, $in['people'], $filter, $asked));
    },
    'nextcloud_uuid' => function () use ($in) {
        $link = reader();
        $asked = ['entryuuid', 'nsuniqueid', 'objectguid', 'guid', 'ipauniqueid'];
        $dn = find_user($link, $in['user']);
        $uuid = entries($link, ldap_read($link, $dn, '(objectClass=*)', $asked))[$dn];
        $back = entries($link, ldap_search($link, $in['suffix'], '(entryUUID=' . $uuid['entryuuid'][0] . ')', ['1.1']));
        return [array_keys($uuid), array_keys($back)];
    },
    'nextcloud_member_of' => function () use ($in) {
        $link = reader();
        $find = fn ($filter) => array_keys(entries($link, ldap_search($link, $in['people'], $filter, ['dn'])));
        return [$find('(memberOf=cn=app-unique,' . $in['groups'] . ')'), count($find('(memberOf=*)')) > 3];
    },
    'phpldapadmin_tree' => function () use ($in) {
        $link = reader();
        $asked = ['*', '+', 'hassubordinates'];
        $children = fn ($filter) => array_keys(entries($link, ldap_list($link, $in['suffix'], $filter, $asked)));
        return ['with' => $children('(hassubordinates=TRUE)'), 'without' => $children('(hassubordinates=FALSE)')];
    },
    'phpldapadmin_schema' => function () {
        $link = reader();
        $root = ldap_read($link, '', '(objectClass=*)', ['namingcontexts', 'subschemasubentry', '+']);
        $schema = entries($link, $root)['']['subschemasubentry'][0];
        $asked = ['objectclasses', 'attributetypes', 'matchingrules', 'matchingruleuse', 'ldapsyntaxes'];
        $lists = entries($link, ldap_read($link, $schema, '(objectClass=subschema)', $asked));
        return array_map(fn ($list) => count($list) > 10, $lists[$schema]);
    },
    'password_own' => function () use ($in) {
        $link = connect();
        ldap_bind($link, $in['editor'], $in['editor_password']);
        $wrong = @ldap_exop_passwd($link, $in['editor'], 'not this', 'next-2026');
        $right = ldap_exop_passwd($link, $in['editor'], $in['editor_password'], 'next-2026');
        $works = fn ($password) => @ldap_bind(connect(), $in['editor'], $password);
        return [$wrong, $right, $works('next-2026'), $works($in['editor_password'])];
    },
    'password_made' => function () use ($in) {
        $link = connect();
        ldap_bind($link, $in['admin'], $in['admin_password']);
        $made = ldap_exop_passwd($link, $in['editor']);
        return [is_string($made) && strlen($made) > 7, ldap_bind(connect(), $in['editor'], $made), ldap_exop_whoami($link)];
    },
    'password_replaced' => function () use ($in) {
        $link = connect();
        ldap_bind($link, $in['admin'], $in['admin_password']);
        ldap_mod_replace($link, $in['editor'], ['userPassword' => 'replaced-2026']);
        $is = fn ($name) => ldap_compare($link, $in['editor'], 'cn', $name);
        return [@ldap_bind(connect(), $in['editor'], 'replaced-2026'), $is('Editor'), $is('No')];
    },
    'batch' => function () use ($in) {
        $link = connect();
        ldap_bind($link, $in['admin'], $in['admin_password']);
        $batch = [
            ['attrib' => 'mail', 'modtype' => LDAP_MODIFY_BATCH_REMOVE_ALL],
            ['attrib' => 'mail', 'modtype' => LDAP_MODIFY_BATCH_ADD, 'values' => ['a@x.example', 'b@x.example']],
            ['attrib' => 'title', 'modtype' => LDAP_MODIFY_BATCH_REPLACE, 'values' => ['Maître']],
        ];
        $done = ldap_modify_batch($link, $in['editor'], $batch);
        $entry = entries($link, ldap_read($link, $in['editor'], '(objectClass=*)', ['mail', 'title']))[$in['editor']];
        ldap_rename($link, $in['editor'], 'uid=editor-renamed', $in['people'], true);
        $renamed = 'uid=editor-renamed,' . $in['people'];
        $moved = ldap_count_entries($link, ldap_read($link, $renamed, '(objectClass=*)', ['1.1']));
        $gone = @ldap_read($link, $in['editor'], '(objectClass=*)');
        return [$done, $entry, $moved, $gone === false ? ldap_errno($link) : 0];
    },
];

$seen = [];
foreach ($cases as $name => $case) {
    try {
        $seen[$name] = $case();
    } catch (Throwable $error) {
        $seen[$name] = 'failed: ' . $error->getMessage();
    }
}
echo json_encode($seen, JSON_UNESCAPED_UNICODE | JSON_PRETTY_PRINT | JSON_THROW_ON_ERROR), "\n";
