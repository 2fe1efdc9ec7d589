// What Java's JNDI sees: one line "case<TAB>result" for each case of tests/py/test_clients.py.
// The test compiles it; trust in the server's authority is set on the command line.

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Hashtable;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.Collectors;
import javax.naming.Context;
import javax.naming.NamingEnumeration;
import javax.naming.NamingException;
import javax.naming.ReferralException;
import javax.naming.directory.Attribute;
import javax.naming.directory.Attributes;
import javax.naming.directory.BasicAttribute;
import javax.naming.directory.BasicAttributes;
import javax.naming.directory.DirContext;
import javax.naming.directory.ModificationItem;
import javax.naming.directory.SearchControls;
import javax.naming.directory.SearchResult;
import javax.naming.event.EventContext;
import javax.naming.event.EventDirContext;
import javax.naming.event.NamingEvent;
import javax.naming.event.NamingExceptionEvent;
import javax.naming.event.ObjectChangeListener;
import javax.naming.ldap.BasicControl;
import javax.naming.ldap.Control;
import javax.naming.ldap.ExtendedRequest;
import javax.naming.ldap.ExtendedResponse;
import javax.naming.ldap.InitialLdapContext;
import javax.naming.ldap.LdapContext;
import javax.naming.ldap.LdapName;
import javax.naming.ldap.PagedResultsControl;
import javax.naming.ldap.PagedResultsResponseControl;
import javax.naming.ldap.SortControl;
import javax.naming.ldap.SortKey;
import javax.naming.ldap.SortResponseControl;
import javax.naming.ldap.StartTlsRequest;
import javax.naming.ldap.StartTlsResponse;

public class Jndi {
    static final String URI = System.getenv("URI");
    static final String LDAPS_URI = System.getenv("LDAPS_URI");
    static final String BASE = System.getenv("BASE");
    static final String ADMIN = System.getenv("ADMIN");
    static final String PASSWORD = System.getenv("PASSWORD");
    static final String ONE = "uid=one," + BASE;
    static final String LAB = "ou=controls," + BASE;
    static LdapContext conn;

    interface Case { String run() throws Exception; }
    interface Action { void run() throws Exception; }

    static final Map<String, Case> CASES = new LinkedHashMap<>();

    static LdapContext open(String uri, String dn, String password) throws NamingException {
        Hashtable<String, Object> env = new Hashtable<>();
        env.put(Context.INITIAL_CONTEXT_FACTORY, "com.sun.jndi.ldap.LdapCtxFactory");
        env.put(Context.PROVIDER_URL, uri);
        env.put("java.naming.ldap.version", "3");
        env.put("com.sun.jndi.ldap.read.timeout", "30000");
        env.put("java.naming.ldap.attributes.binary", "jpegPhoto");
        if (dn != null) {
            env.put(Context.SECURITY_AUTHENTICATION, "simple");
            env.put(Context.SECURITY_PRINCIPAL, dn);
            env.put(Context.SECURITY_CREDENTIALS, password);
        }
        return new InitialLdapContext(env, null);
    }

    /** Names are parsed by RFC 2253 only as an LdapName; as a string they are composite names. */
    static LdapName name(String dn) throws NamingException { return new LdapName(dn); }

    /** JNDI hides the result code in the text: "[LDAP: error code 49 - ...]". */
    static String code(Action action) throws Exception {
        try {
            action.run();
            return "0";
        } catch (NamingException e) {
            return code(e);
        }
    }

    static String code(NamingException e) throws NamingException {
        var found = java.util.regex.Pattern.compile("error code (\\d+)").matcher(String.valueOf(e.getMessage()));
        if (found.find()) return found.group(1);
        throw e;
    }

    static String whoAmI(LdapContext c) throws NamingException {
        return new String(c.extendedOperation(new Extended("1.3.6.1.4.1.4203.1.11.3", null)).getEncodedValue(), StandardCharsets.UTF_8);
    }

    static class Extended implements ExtendedRequest {
        final String id;
        final byte[] value;

        Extended(String id, byte[] value) { this.id = id; this.value = value; }

        public String getID() { return id; }
        public byte[] getEncodedValue() { return value; }
        public ExtendedResponse createExtendedResponse(String id, byte[] value, int offset, int length) {
            byte[] answer = value == null ? new byte[0] : Arrays.copyOfRange(value, offset, offset + length);
            return new ExtendedResponse() {
                public String getID() { return id; }
                public byte[] getEncodedValue() { return answer; }
            };
        }
    }

    static SearchControls scope(int scope, String... attrs) {
        return new SearchControls(scope, 0, 0, attrs.length == 0 ? null : attrs, false, false);
    }

    static String names(NamingEnumeration<SearchResult> found) throws NamingException {
        TreeSet<String> names = new TreeSet<>();
        while (found.hasMore()) {
            LdapName dn = name(found.next().getNameInNamespace());
            names.add(dn.getRdn(dn.size() - 1).getValue().toString());
        }
        return String.join("|", names);
    }

    static String found(String filter) throws NamingException {
        return names(conn.search(name(BASE), filter, scope(SearchControls.SUBTREE_SCOPE)));
    }

    static Attributes entry(String dn, String... attrs) throws NamingException { return conn.getAttributes(name(dn), attrs); }

    static String valuesOf(String dn, String type) throws NamingException {
        Attribute attribute = entry(dn, type).get(type);
        TreeSet<String> values = new TreeSet<>();
        for (int n = 0; attribute != null && n < attribute.size(); n++) values.add(attribute.get(n).toString());
        return String.join("|", values);
    }

    static String attributesOf(String dn, String... asked) throws NamingException {
        TreeSet<String> names = new TreeSet<>();
        var ids = entry(dn, asked).getIDs();
        while (ids.hasMore()) names.add(ids.next().toLowerCase());
        return String.join("|", names);
    }

    /** Types and values by turns; a type may come again. */
    static Attributes attrs(Object... pairs) {
        Attributes attributes = new BasicAttributes(true);
        for (int n = 0; n < pairs.length; n += 2) {
            String type = (String) pairs[n];
            if (attributes.get(type) == null) attributes.put(new BasicAttribute(type));
            attributes.get(type).add(pairs[n + 1]);
        }
        return attributes;
    }

    static void add(String dn, Object... pairs) throws NamingException { conn.createSubcontext(name(dn), attrs(pairs)).close(); }

    static void person(String uid, Object... more) throws NamingException { personAt("uid=" + uid + "," + BASE, uid, more); }

    static void personAt(String dn, String uid, Object... more) throws NamingException {
        Attributes attributes = attrs("objectClass", "inetOrgPerson", "uid", uid, "cn", "Person " + uid, "sn", uid);
        var all = attrs(more).getAll();
        while (all.hasMore()) attributes.put(all.next());
        conn.createSubcontext(name(dn), attributes).close();
    }

    static ModificationItem change(int op, String type, Object... values) {
        BasicAttribute attribute = new BasicAttribute(type);
        for (Object value : values) attribute.add(value);
        return new ModificationItem(op, attribute);
    }

    static String modified(String dn, ModificationItem... changes) throws Exception { return code(() -> conn.modifyAttributes(name(dn), changes)); }

    static String bindCode(String dn, String password) throws Exception { return code(() -> open(URI, dn, password).close()); }

    static String renamed(String from, String to) throws Exception { return code(() -> conn.rename(name(from), name(to))); }

    static String bytes(String dn) throws NamingException {
        byte[] value = (byte[]) entry(dn, "jpegPhoto").get("jpegPhoto").get();
        StringBuilder hex = new StringBuilder();
        for (byte b : value) hex.append(String.format("%02x", b));
        return hex.toString();
    }

    /** RFC 3062: a sequence of [0] user, [1] old and [2] new password, each short. */
    static byte[] passwordModify(LdapContext c, String... fields) throws NamingException {
        ByteBuffer body = ByteBuffer.allocate(250);
        for (int n = 0; n < fields.length; n++) {
            if (fields[n] == null) continue;
            byte[] text = fields[n].getBytes(StandardCharsets.UTF_8);
            body.put((byte) (0x80 + n)).put((byte) text.length).put(text);
        }
        ByteBuffer all = ByteBuffer.allocate(body.position() + 3).put((byte) 0x30);
        if (body.position() > 127) all.put((byte) 0x81);
        all.put((byte) body.position()).put(body.flip());
        return c.extendedOperation(new Extended("1.3.6.1.4.1.4203.1.11.1", Arrays.copyOf(all.array(), all.position()))).getEncodedValue();
    }

    static String compared(String dn, String value) throws Exception {
        // JNDI sends a compare request for a base search for one equality that asks for no attribute.
        var how = new SearchControls(SearchControls.OBJECT_SCOPE, 0, 0, new String[0], false, false);
        try {
            return String.valueOf(conn.search(name(dn), "(mail={0})", new Object[] {value}, how).hasMore());
        } catch (NamingException e) {
            return code(e);
        }
    }

    static String searchWith(Control control) throws Exception {
        LdapContext own = conn.newInstance(new Control[] {control});
        try {
            return code(() -> own.search(name(BASE), "(objectClass=*)", scope(SearchControls.OBJECT_SCOPE)).hasMore());
        } finally {
            own.close();
        }
    }

    static String overStartTls() throws Exception {
        LdapContext c = open(URI, null, null);
        StartTlsResponse tls = (StartTlsResponse) c.extendedOperation(new StartTlsRequest());
        tls.negotiate();
        c.addToEnvironment(Context.SECURITY_AUTHENTICATION, "simple");
        c.addToEnvironment(Context.SECURITY_PRINCIPAL, ADMIN);
        c.addToEnvironment(Context.SECURITY_CREDENTIALS, PASSWORD);
        String who = whoAmI(c);
        tls.close();
        c.close();
        return who;
    }

    static void fill() {
        CASES.put("bind_simple", () -> code(() -> conn = open(URI, ADMIN, PASSWORD)));
        CASES.put("bind_wrong_password", () -> bindCode(ADMIN, "wrong"));
        CASES.put("bind_unknown_name", () -> bindCode("cn=nobody," + BASE, "wrong"));
        CASES.put("bind_invalid_name", () -> bindCode("no name", "wrong"));
        CASES.put("bind_anonymous", () -> "0 " + whoAmI(open(URI, null, null)));
        CASES.put("starttls", Jndi::overStartTls);
        CASES.put("ldaps", () -> whoAmI(open(LDAPS_URI, ADMIN, PASSWORD)));

        CASES.put("add", () -> String.join(" ",
            code(() -> add(BASE, "objectClass", "organizationalUnit", "ou", "clients")),
            code(() -> person("one", "mail", "one@example.org", "mail", "first@example.org", "employeeNumber", "7", "userPassword", "first-password")),
            code(() -> person("two", "description", "(a*b)\\c")),
            code(() -> person("three", "manager", ONE)),
            code(() -> add("ou=below," + BASE, "objectClass", "organizationalUnit", "ou", "below")),
            code(() -> personAt("uid=four,ou=below," + BASE, "four"))));
        CASES.put("add_existing", () -> code(() -> person("one")));
        CASES.put("add_without_parent", () -> code(() -> personAt("uid=x,ou=none," + BASE, "x")));
        CASES.put("add_without_must", () -> code(() -> add("uid=x," + BASE, "objectClass", "inetOrgPerson", "uid", "x", "cn", "x")));
        CASES.put("add_unknown_attribute", () -> code(() -> person("x", "noSuchAttribute", "x")));

        CASES.put("search_base", () -> names(conn.search(name(BASE), "(objectClass=*)", scope(SearchControls.OBJECT_SCOPE))));
        CASES.put("search_one", () -> names(conn.search(name(BASE), "(objectClass=*)", scope(SearchControls.ONELEVEL_SCOPE))));
        CASES.put("search_sub", () -> found("(objectClass=*)"));
        CASES.put("search_no_such_base", () -> code(() -> conn.search(name("ou=none,ou=below," + BASE), "(objectClass=*)", scope(SearchControls.SUBTREE_SCOPE))));
        for (var filter : Map.of(
                "equality", "(UID=One)",
                "and_or_not", "(&(objectClass=person)(|(uid=one)(uid=two)(uid=three))(!(uid=two)))",
                "substring", "(cn=per*n t*)",
                "present", "(mail=*)",
                "order", "(&(uid=*)(createTimestamp>=20200101000000Z)(createTimestamp<=99991231235959Z))",
                "approx", "(cn~=person ONE)",
                "extensible", "(sn:caseExactMatch:=one)",
                "extensible_dn", "(ou:dn:=below)",
                "escapes", "(description=\\28a\\2ab\\29\\5cc)",
                "supertype", "(name=person one)").entrySet()) {
            CASES.put("filter_" + filter.getKey(), () -> found(filter.getValue()));
        }
        CASES.put("filter_unknown", () -> found("(|(noSuchAttribute=x)(uid=one))"));
        CASES.put("filter_not_unknown", () -> found("(!(noSuchAttribute=x))"));
        CASES.put("attributes_listed", () -> attributesOf(ONE, "cn", "MAIL"));
        CASES.put("attributes_none", () -> attributesOf(ONE, "1.1"));
        CASES.put("attributes_operational", () -> Arrays.stream(attributesOf(ONE, "+").split("\\|"))
            .filter(Arrays.asList("cn", "entryuuid", "creatorsname", "structuralobjectclass")::contains).collect(Collectors.joining("|")));
        CASES.put("attributes_of_class", () -> attributesOf(ONE, "@person"));
        CASES.put("size_limit", () -> {
            var how = new SearchControls(SearchControls.SUBTREE_SCOPE, 2, 0, null, false, false);
            var results = conn.search(name(BASE), "(objectClass=person)", how);
            int count = 0;
            try {
                while (results.hasMore()) { results.next(); count++; }
            } catch (NamingException e) {
                return code(e) + " " + count;
            }
            return "0 " + count;
        });
        CASES.put("root_dse", () -> valuesOf("", "namingContexts") + " " + valuesOf("", "supportedLDAPVersion"));
        CASES.put("schema", () -> {
            DirContext schema = conn.getSchema(name(BASE));
            Attribute must = schema.getAttributes("ClassDefinition/person").get("MUST");
            TreeSet<String> names = new TreeSet<>();
            for (int n = 0; n < must.size(); n++) names.add(must.get(n).toString());
            names.add(schema.getAttributes("ClassDefinition/top").get("MUST").get().toString());
            Object uid = schema.getAttributes("AttributeDefinition/uid").get("NUMERICOID").get();
            Object sup = schema.getAttributes("AttributeDefinition/cn").get("SUP").get();
            schema.lookup("ClassDefinition/inetOrgPerson");
            return String.join("|", names) + " " + uid + " " + sup + " class";
        });

        CASES.put("binary", () -> {
            byte[] value = {(byte) 0xff, (byte) 0xd8, 0, 10, 13, (byte) 255, 0, (byte) 128};
            return modified(ONE, change(DirContext.ADD_ATTRIBUTE, "jpegPhoto", (Object) value)) + " " + bytes(ONE);
        });
        CASES.put("large_value", () -> {
            ByteBuffer value = ByteBuffer.allocate(1_000_000);
            for (int n = 1; n <= 250_000; n++) value.putInt(n);
            String two = "uid=two," + BASE;
            String done = modified(two, change(DirContext.REPLACE_ATTRIBUTE, "jpegPhoto", (Object) value.array()));
            return done + (Arrays.equals(value.array(), (byte[]) entry(two, "jpegPhoto").get("jpegPhoto").get()) ? " same" : " different");
        });
        CASES.put("non_ascii", () -> {
            String cn = "Élodie Œuvre 日本";
            String dn = "cn=" + cn + "," + BASE;
            return code(() -> add(dn, "objectClass", "person", "cn", cn, "sn", "Ça")) + " " + found("(sn=ça)") + " " + code(() -> conn.destroySubcontext(name(dn)));
        });
        CASES.put("escapes_in_names", () -> {
            String dn = "cn=\\20a\\,b\\+c\\\"d\\;e\\\\f\\3d\\20," + BASE;
            String done = code(() -> add(dn, "objectClass", "person", "cn", " a,b+c\"d;e\\f= ", "sn", "x"));
            return done + " " + valuesOf(dn, "sn") + " " + code(() -> conn.destroySubcontext(name("CN=a\\2cb\\2Bc\\22d\\3be\\5cf\\=," + BASE)));
        });
        CASES.put("two_values_in_rdn", () -> code(() -> add("cn=Two+sn=Values," + BASE, "objectClass", "person", "cn", "Two", "sn", "Values"))
            + " " + code(() -> conn.destroySubcontext(name("sn=VALUES + cn=two," + BASE))));

        CASES.put("compare_true", () -> compared(ONE, "ONE@example.org"));
        CASES.put("compare_false", () -> compared(ONE, "other@example.org"));
        CASES.put("compare_no_attribute", () -> compared("uid=two," + BASE, "x"));
        CASES.put("compare_no_entry", () -> compared("uid=none," + BASE, "x"));

        CASES.put("modify", () -> modified(ONE,
            change(DirContext.REMOVE_ATTRIBUTE, "mail", "first@example.org"), change(DirContext.ADD_ATTRIBUTE, "mail", "second@example.org"),
            change(DirContext.REPLACE_ATTRIBUTE, "sn", "Changed"), change(DirContext.REPLACE_ATTRIBUTE, "title"),
            change(DirContext.ADD_ATTRIBUTE, "description", "red", "blue"))
            + " " + valuesOf(ONE, "mail") + " " + valuesOf(ONE, "sn") + " " + valuesOf(ONE, "description"));
        CASES.put("modify_all_or_nothing", () -> modified(ONE,
            change(DirContext.REPLACE_ATTRIBUTE, "sn", "Half"), change(DirContext.REMOVE_ATTRIBUTE, "mail", "none@example.org")) + " " + valuesOf(ONE, "sn"));
        CASES.put("modify_add_existing", () -> modified(ONE, change(DirContext.ADD_ATTRIBUTE, "description", "RED")));
        CASES.put("modify_delete_whole", () -> modified(ONE, change(DirContext.REMOVE_ATTRIBUTE, "description")));
        CASES.put("modify_rdn", () -> modified(ONE, change(DirContext.REPLACE_ATTRIBUTE, "uid", "other")));
        CASES.put("modify_no_entry", () -> modified("uid=none," + BASE, change(DirContext.REPLACE_ATTRIBUTE, "sn", "x")));

        CASES.put("rename_keeps_old", () -> {
            conn.addToEnvironment("java.naming.ldap.deleteRDN", "false");
            String done = renamed("uid=two," + BASE, "uid=zwei," + BASE);
            conn.addToEnvironment("java.naming.ldap.deleteRDN", "true");
            return done + " " + valuesOf("uid=zwei," + BASE, "uid");
        });
        CASES.put("rename_deletes_old", () -> renamed("uid=zwei," + BASE, "uid=deux," + BASE) + " " + valuesOf("uid=deux," + BASE, "uid"));
        CASES.put("rename_case_only", () -> renamed("uid=deux," + BASE, "uid=Deux," + BASE) + " " + valuesOf("uid=deux," + BASE, "uid"));
        CASES.put("rename_existing", () -> renamed("uid=deux," + BASE, "uid=one," + BASE));
        CASES.put("move", () -> renamed("uid=deux," + BASE, "uid=deux,ou=below," + BASE) + " "
            + names(conn.search(name("ou=below," + BASE), "(objectClass=*)", scope(SearchControls.ONELEVEL_SCOPE))));
        CASES.put("move_subtree", () -> renamed("ou=below," + BASE, "ou=moved," + BASE) + " "
            + names(conn.search(name("ou=moved," + BASE), "(objectClass=*)", scope(SearchControls.SUBTREE_SCOPE))));
        CASES.put("move_below_itself", () -> renamed("ou=moved," + BASE, "ou=moved,uid=deux,ou=moved," + BASE).equals("0") ? "moved" : "refused");
        CASES.put("move_to_nowhere", () -> renamed(ONE, "uid=one,ou=none," + BASE));

        CASES.put("who_am_i", () -> whoAmI(conn));
        CASES.put("password_modify", () -> {
            LdapContext own = open(URI, ONE, "first-password");
            String done = code(() -> passwordModify(own, null, "first-password", "second-password"));
            return done + " " + bindCode(ONE, "first-password") + " " + bindCode(ONE, "second-password");
        });
        CASES.put("password_modify_other", () -> code(() -> passwordModify(conn, ONE, null, "third-password")) + " " + bindCode(ONE, "third-password"));
        CASES.put("password_modify_generated", () -> {
            // SEQUENCE { [0] genPasswd }, both lengths of one octet.
            byte[] answer = passwordModify(conn, ONE);
            return "0 " + bindCode(ONE, new String(answer, 4, answer.length - 4, StandardCharsets.UTF_8));
        });
        CASES.put("unknown_extended", () -> code(() -> conn.extendedOperation(new Extended("1.3.6.1.4.1.4203.666.99.1", new byte[] {1}))));
        CASES.put("unknown_critical_control", () -> searchWith(new BasicControl("1.3.6.1.4.1.4203.666.99.2", true, new byte[] {1})));
        CASES.put("unknown_control", () -> searchWith(new BasicControl("1.3.6.1.4.1.4203.666.99.2", false, null)));

        controls();

        CASES.put("delete_non_leaf", () -> code(() -> conn.destroySubcontext(name("ou=moved," + BASE))));
        CASES.put("delete", () -> code(() -> conn.destroySubcontext(name(ONE))) + " " + code(() -> entry(ONE, "cn")));
        CASES.put("delete_no_entry", () -> code(() -> conn.destroySubcontext(name("uid=none," + BASE))));
        CASES.put("unbind", () -> code(() -> conn.close()));
    }

    /** What a search with these controls finds, in order, and the controls of the answer. */
    static String listed(LdapContext own, Control... controls) throws NamingException, java.io.IOException {
        own.setRequestControls(controls);
        var found = own.search(name(LAB), "(objectClass=person)", scope(SearchControls.ONELEVEL_SCOPE));
        StringBuilder uids = new StringBuilder();
        while (found.hasMore()) uids.append(found.next().getAttributes().get("uid").get()).append(' ');
        return uids.toString().trim();
    }

    static <T extends Control> T answered(LdapContext own, Class<T> kind) throws NamingException {
        for (Control control : own.getResponseControls()) if (kind.isInstance(control)) return kind.cast(control);
        return null;
    }

    /** Controls, on a branch of their own. */
    static void controls() {
        CASES.put("controls_add", () -> {
            String done = code(() -> add(LAB, "objectClass", "organizationalUnit", "ou", "controls"));
            for (int n = 1; n <= 5; n++) {
                String uid = "p" + n, sn = "Name " + (6 - n);
                done += " " + code(() -> add("uid=" + uid + "," + LAB, "objectClass", "inetOrgPerson", "uid", uid, "cn", uid, "sn", sn,
                    "description", "red", "description", "blue"));
            }
            return done;
        });
        CASES.put("paged", () -> {
            LdapContext own = conn.newInstance(null);
            String sizes = "";
            TreeSet<String> seen = new TreeSet<>();
            byte[] cookie = null;
            do {
                String[] page = listed(own, new PagedResultsControl(2, cookie, Control.CRITICAL)).split(" ");
                sizes += page.length + " ";
                seen.addAll(Arrays.asList(page));
                cookie = answered(own, PagedResultsResponseControl.class).getCookie();
            } while (cookie != null);
            return sizes + String.join("|", seen);
        });
        CASES.put("sorted", () -> {
            LdapContext own = conn.newInstance(null);
            return listed(own, new SortControl("sn", Control.CRITICAL)) + " " + answered(own, SortResponseControl.class).getResultCode();
        });
        CASES.put("sorted_reversed", () -> listed(conn.newInstance(null), new SortControl(new SortKey[] {new SortKey("sn", false, null)}, Control.CRITICAL)));
        CASES.put("referral", () -> {
            // ManageDsaIT goes with every request unless referrals are to be told.
            String far = "ou=far," + LAB;
            String done = code(() -> add(far, "objectClass", "referral", "objectClass", "extensibleObject", "ou", "far", "ref", "ldap://far.example.org/ou=far,dc=org"));
            LdapContext own = conn.newInstance(null);
            own.addToEnvironment(Context.REFERRAL, "throw");
            String told;
            try {
                own.getAttributes(name("uid=x," + far));
                told = "found";
            } catch (ReferralException e) {
                told = String.valueOf(e.getReferralInfo());
            }
            return done + " " + told + " " + valuesOf(far, "ou") + " " + code(() -> conn.destroySubcontext(name(far)));
        });
        CASES.put("permissive_modify", () -> {
            LdapContext own = conn.newInstance(new Control[] {new BasicControl("1.2.840.113556.1.4.1413", true, null)});
            String two = "uid=p2," + LAB;
            return code(() -> own.modifyAttributes(name(two), new ModificationItem[] {change(DirContext.ADD_ATTRIBUTE, "description", "RED")})) + " "
                + code(() -> own.modifyAttributes(name(two), new ModificationItem[] {change(DirContext.REMOVE_ATTRIBUTE, "title", "none")}));
        });
        CASES.put("tree_delete", () -> {
            String tree = "ou=tree," + LAB;
            add(tree, "objectClass", "organizationalUnit", "ou", "tree");
            personAt("uid=leaf," + tree, "leaf");
            String done = code(() -> conn.destroySubcontext(name(tree)));
            LdapContext own = conn.newInstance(null);
            own.setRequestControls(new Control[] {new BasicControl("1.2.840.113556.1.4.805", true, null)});
            return done + " " + code(() -> own.destroySubcontext(name(tree))) + " " + code(() -> entry(tree, "ou"));
        });
        CASES.put("events", () -> {
            // JNDI's events are made from a persistent search.
            var seen = new java.util.concurrent.LinkedBlockingQueue<String>();
            EventDirContext watched = (EventDirContext) open(URI, ADMIN, PASSWORD).lookup(name(LAB));
            watched.addNamingListener("", EventContext.ONELEVEL_SCOPE, new WatchListener(seen));
            // The search has begun once it tells of a change; until then the change is made again.
            String event = null;
            for (int n = 0; n < 300 && event == null; n++) {
                modified("uid=p1," + LAB, change(DirContext.REPLACE_ATTRIBUTE, "title", "watched " + n));
                event = seen.poll(100, java.util.concurrent.TimeUnit.MILLISECONDS);
            }
            watched.close();
            return event;
        });
    }

    record WatchListener(java.util.Queue<String> seen) implements ObjectChangeListener {
        public void objectChanged(NamingEvent event) { seen.add(event.getNewBinding().getName().replace("uid=", "") + "=" + event.getType()); }
        public void namingExceptionThrown(NamingExceptionEvent event) { seen.add(event.getException().toString()); }
    }

    public static void main(String[] args) throws Exception {
        var out = new java.io.PrintStream(System.out, true, StandardCharsets.UTF_8);
        fill();
        for (var one : CASES.entrySet()) {
            String result;
            try {
                result = one.getValue().run();
            } catch (Exception e) {
                result = "error: " + e + " at " + Arrays.toString(e.getStackTrace());
            }
            out.println(one.getKey() + "\t" + result.replaceAll("\\s+", " "));
        }
        out.println("client\tJNDI of Java " + System.getProperty("java.version"));
    }
}
