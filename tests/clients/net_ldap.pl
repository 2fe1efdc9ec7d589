#!/usr/bin/perl
# What Perl's Net::LDAP sees: one line "case<TAB>result" for each case of tests/py/test_clients.py.
use strict;
use warnings;
use utf8;
use Encode qw(encode_utf8 decode_utf8);
use Net::LDAP;
use Net::LDAP::Control;
use Net::LDAP::Control::Assertion;
use Net::LDAP::Control::DontUseCopy;
use Net::LDAP::Control::ManageDsaIT;
use Net::LDAP::Control::MatchedValues;
use Net::LDAP::Control::NoOp;
use Net::LDAP::Control::Paged;
use Net::LDAP::Control::PersistentSearch;
use Net::LDAP::Control::PostRead;
use Net::LDAP::Control::PreRead;
use Net::LDAP::Control::ProxyAuth;
use Net::LDAP::Control::Relax;
use Net::LDAP::Control::Sort;
use Net::LDAP::Control::Subentries;
use Net::LDAP::Control::SyncRequest;
use Net::LDAP::Control::TreeDelete;
use Net::LDAP::Control::VLV;
use Net::LDAP::Extension::Cancel;
use Net::LDAP::Extension::SetPassword;
use Net::LDAP::Extension::WhoAmI;

my ($ldap_uri, $ldaps_uri, $ca, $base, $admin, $password) = @ENV{qw(URI LDAPS_URI CA BASE ADMIN PASSWORD)};
my %cases;
my @order;
my $conn;

sub case { my ($name, $run) = @_; push @order, $name; $cases{$name} = $run; }
sub code { return $_[0]->code; }
sub joined { return join '|', sort @_; }
sub names { return joined(map { my ($rdn) = $_->dn =~ /^([^,]*)/; $rdn =~ s/^[^=]*=//; $rdn } $_[0]->entries); }
sub found { return names($conn->search(base => $base, filter => $_[0])); }
sub entry { my ($dn, @attrs) = @_; return $conn->search(base => $dn, scope => 'base', filter => '(objectClass=*)', attrs => \@attrs)->entry(0); }
sub values_of { my ($dn, $attr) = @_; my $entry = entry($dn, $attr); return $entry ? joined($entry->get_value($attr)) : 'none'; }
sub connect_to { my ($uri, %how) = @_; return Net::LDAP->new($uri, timeout => 30, %how) || die "connect: $@"; }
sub bound { my $c = connect_to($ldap_uri); my $r = $c->bind($_[0], password => $_[1]); return ($c, $r); }
sub person {
    my ($uid, %more) = @_;
    my $dn = (delete $more{dn}) // "uid=$uid,$base";
    return $conn->add($dn, attrs => [objectClass => 'inetOrgPerson', uid => $uid, cn => "Person $uid", sn => $uid, %more]);
}

case bind_simple => sub { my ($c, $r) = bound($admin, $password); $conn = $c; code($r) };
case bind_wrong_password => sub { my ($c, $r) = bound($admin, 'wrong'); code($r) };
case bind_unknown_name => sub { my ($c, $r) = bound("cn=nobody,$base", 'wrong'); code($r) };
case bind_invalid_name => sub { my ($c, $r) = bound("no name", 'wrong'); code($r) };
case bind_without_password => sub { my $c = connect_to($ldap_uri); code($c->bind($admin, noauth => 1)) };
case bind_anonymous => sub { my $c = connect_to($ldap_uri); my $r = $c->bind; code($r) . ' ' . $c->who_am_i->response };
case failed_bind_is_anonymous => sub { my ($c) = bound($admin, $password); $c->bind($admin, password => 'wrong'); $c->who_am_i->response };
case starttls => sub {
    my $c = connect_to($ldap_uri);
    my $r = $c->start_tls(verify => 'require', cafile => $ca);
    return code($r) unless $r->code == 0;
    $c->bind($admin, password => $password);
    return $c->who_am_i->response;
};
case starttls_twice => sub { my $c = connect_to($ldap_uri); $c->start_tls(verify => 'require', cafile => $ca); code($c->start_tls) };
case starttls_other_authority => sub {
    my $c = connect_to($ldap_uri);
    my $r = eval { $c->start_tls(verify => 'require', cafile => '/etc/ssl/certs/ca-certificates.crt') };
    return !$r || $r->code ? 'refused' : 'accepted';
};
case ldaps => sub { my $c = connect_to($ldaps_uri, verify => 'require', cafile => $ca); $c->bind($admin, password => $password); $c->who_am_i->response };

case add => sub {
    join ' ', code($conn->add($base, attrs => [objectClass => 'organizationalUnit', ou => 'clients'])),
        map { code($_) } person('one', mail => ['one@example.org', 'first@example.org'], employeeNumber => '7', userPassword => 'first-password'),
        person('two', description => '(a*b)\\c'), person('three', manager => "uid=one,$base"),
        $conn->add("ou=below,$base", attrs => [objectClass => 'organizationalUnit', ou => 'below']),
        $conn->add("uid=four,ou=below,$base", attrs => [objectClass => ['top', 'inetOrgPerson'], uid => 'four', cn => 'Person four', sn => 'four']);
};
case add_existing => sub { code(person('one')) };
case add_without_parent => sub { my $r = $conn->add("uid=x,ou=none,$base", attrs => [objectClass => 'inetOrgPerson', uid => 'x', cn => 'x', sn => 'x']); code($r) . ' ' . $r->dn };
case add_without_must => sub { code($conn->add("uid=x,$base", attrs => [objectClass => 'inetOrgPerson', uid => 'x', cn => 'x'])) };
case add_unknown_attribute => sub { code(person('x', noSuchAttribute => 'x')) };
case add_invalid_name => sub { code(person('x', dn => 'uid=x,,')) };

case search_base => sub { names($conn->search(base => $base, scope => 'base', filter => '(objectClass=*)')) };
case search_one => sub { names($conn->search(base => $base, scope => 'one', filter => '(objectClass=*)')) };
case search_sub => sub { found('(objectClass=*)') };
case search_no_such_base => sub { my $r = $conn->search(base => "ou=none,ou=below,$base", filter => '(objectClass=*)'); code($r) . ' ' . $r->dn };
case filter_equality => sub { found('(UID=One)') };
case filter_and_or_not => sub { found('(&(objectClass=person)(|(uid=one)(uid=two)(uid=three))(!(uid=two)))') };
case filter_substring => sub { found('(cn=per*n t*)') };
case filter_present => sub { found('(mail=*)') };
case filter_order => sub { found('(&(uid=*)(createTimestamp>=20200101000000Z)(createTimestamp<=99991231235959Z))') };
case filter_approx => sub { found('(cn~=person ONE)') };
case filter_extensible => sub { found('(sn:caseExactMatch:=one)') };
case filter_extensible_dn => sub { found('(ou:dn:=below)') };
case filter_escapes => sub { found('(description=\28a\2ab\29\5cc)') };
case filter_supertype => sub { found('(name=person one)') };
case filter_unknown => sub { found('(|(noSuchAttribute=x)(uid=one))') };
case filter_not_unknown => sub { found('(!(noSuchAttribute=x))') };
case filter_absolute => sub { found('(&)') . ' ' . found('(|)') };
case attributes_listed => sub { joined(map { lc } entry("uid=one,$base", qw(cn MAIL))->attributes) };
case attributes_none => sub { joined(entry("uid=one,$base", '1.1')->attributes) };
case attributes_operational => sub { my %a = map { lc($_) => 1 } entry("uid=one,$base", '+')->attributes; joined(grep { $a{$_} } qw(cn entryuuid creatorsname structuralobjectclass)) };
case attributes_of_class => sub { joined(map { lc } entry("uid=one,$base", '@person')->attributes) };
case types_only => sub {
    my $e = $conn->search(base => "uid=one,$base", scope => 'base', filter => '(objectClass=*)', attrs => ['cn', 'sn'], typesonly => 1)->entry(0);
    return joined(map { $_ . '=' . scalar(@{[$e->get_value($_)]}) } $e->attributes);
};
case size_limit => sub { my $r = $conn->search(base => $base, filter => '(objectClass=person)', sizelimit => 2); code($r) . ' ' . $r->count };
case root_dse => sub { my $d = $conn->root_dse; joined($d->get_value('namingContexts')) . ' ' . joined($d->get_value('supportedLDAPVersion')) };
case schema => sub {
    my $s = $conn->schema or return 'none';
    my ($sup) = @{ $s->attribute('cn')->{sup} // [] };
    return join ' ', joined(map { $_->{name} } $s->must('person')), $s->attribute('uid')->{oid}, $sup, $s->objectclass('inetOrgPerson') ? 'class' : 'none';
};

case binary => sub {
    my $bytes = pack 'C*', 0xff, 0xd8, 0, 10, 13, 255, 0, 128;
    my $r = $conn->modify("uid=one,$base", add => { jpegPhoto => $bytes });
    return code($r) . ' ' . unpack 'H*', entry("uid=one,$base", 'jpegPhoto')->get_value('jpegPhoto');
};
case large_value => sub {
    my $bytes = join '', map { pack 'N', $_ } 1 .. 250_000;
    my $r = $conn->modify("uid=two,$base", replace => { jpegPhoto => $bytes });
    my $back = entry("uid=two,$base", 'jpegPhoto')->get_value('jpegPhoto');
    return code($r) . ' ' . ($back eq $bytes ? 'same' : 'different');
};
case non_ascii => sub {
    my $dn = "cn=Élodie Œuvre 日本,$base";
    my $r = $conn->add($dn, attrs => [objectClass => 'person', cn => 'Élodie Œuvre 日本', sn => 'Ça']);
    return code($r) . ' ' . found('(sn=ça)') . ' ' . code($conn->delete($dn));
};
case escapes_in_names => sub {
    my $dn = 'cn=\20a\,b\+c\"d\;e\\\\f\3d\20,' . $base;
    my $r = $conn->add($dn, attrs => [objectClass => 'person', cn => ' a,b+c"d;e\\f= ', sn => 'x']);
    return code($r) . ' ' . values_of($dn, 'sn') . ' ' . code($conn->delete('CN=a\2cb\2Bc\22d\3be\5cf\=,' . $base));
};
case two_values_in_rdn => sub {
    my $r = $conn->add("cn=Two+sn=Values,$base", attrs => [objectClass => 'person', cn => 'Two', sn => 'Values']);
    return code($r) . ' ' . code($conn->delete("sn=VALUES + cn=two,$base"));
};

case compare_true => sub { code($conn->compare("uid=one,$base", attr => 'mail', value => 'ONE@example.org')) };
case compare_false => sub { code($conn->compare("uid=one,$base", attr => 'mail', value => 'other@example.org')) };
case compare_no_attribute => sub { code($conn->compare("uid=two,$base", attr => 'mail', value => 'x')) };
case compare_no_entry => sub { code($conn->compare("uid=none,$base", attr => 'mail', value => 'x')) };

case modify => sub {
    my $r = $conn->modify("uid=one,$base", changes => [
        delete => [mail => 'first@example.org'], add => [mail => 'second@example.org'],
        replace => [sn => 'Changed'], replace => [title => []], add => [description => ['red', 'blue']]]);
    return join ' ', code($r), values_of("uid=one,$base", 'mail'), values_of("uid=one,$base", 'sn'), values_of("uid=one,$base", 'description');
};
case modify_all_or_nothing => sub {
    my $r = $conn->modify("uid=one,$base", changes => [replace => [sn => 'Half'], delete => [mail => 'none@example.org']]);
    return code($r) . ' ' . values_of("uid=one,$base", 'sn');
};
case modify_add_existing => sub { code($conn->modify("uid=one,$base", add => { description => 'RED' })) };
case modify_delete_whole => sub { code($conn->modify("uid=one,$base", delete => ['description'])) };
case modify_rdn => sub { code($conn->modify("uid=one,$base", replace => { uid => 'other' })) };
case modify_no_entry => sub { code($conn->modify("uid=none,$base", replace => { sn => 'x' })) };
case modify_increment => sub {
    my $r = $conn->add("cn=counter,$base", attrs => [objectClass => ['namedObject', 'posixGroup'], cn => 'counter', gidNumber => 1000]);
    return code($r) if $r->code;
    return code($conn->modify("cn=counter,$base", increment => { gidNumber => 5 })) . ' ' . values_of("cn=counter,$base", 'gidNumber');
};

case rename_keeps_old => sub { code($conn->moddn("uid=two,$base", newrdn => 'uid=zwei', deleteoldrdn => 0)) . ' ' . values_of("uid=zwei,$base", 'uid') };
case rename_deletes_old => sub { code($conn->moddn("uid=zwei,$base", newrdn => 'uid=deux', deleteoldrdn => 1)) . ' ' . values_of("uid=deux,$base", 'uid') };
case rename_case_only => sub { code($conn->moddn("uid=deux,$base", newrdn => 'uid=Deux', deleteoldrdn => 1)) . ' ' . values_of("uid=deux,$base", 'uid') };
case rename_existing => sub { code($conn->moddn("uid=deux,$base", newrdn => 'uid=one', deleteoldrdn => 1)) };
case move => sub { code($conn->moddn("uid=deux,$base", newrdn => 'uid=deux', deleteoldrdn => 1, newsuperior => "ou=below,$base")) . ' ' . names($conn->search(base => "ou=below,$base", scope => 'one', filter => '(objectClass=*)')) };
case move_subtree => sub {
    my $r = $conn->moddn("ou=below,$base", newrdn => 'ou=moved', deleteoldrdn => 1);
    return code($r) . ' ' . names($conn->search(base => "ou=moved,$base", filter => '(objectClass=*)'));
};
case move_below_itself => sub { my $code = code($conn->moddn("ou=moved,$base", newrdn => 'ou=moved', deleteoldrdn => 1, newsuperior => "uid=deux,ou=moved,$base")); $code ? 'refused' : 'moved' };
case move_to_nowhere => sub { code($conn->moddn("uid=one,$base", newrdn => 'uid=one', deleteoldrdn => 1, newsuperior => "ou=none,$base")) };

case who_am_i => sub { $conn->who_am_i->response };
case password_modify => sub {
    my ($own) = bound("uid=one,$base", 'first-password');
    my $r = $own->set_password(oldpasswd => 'first-password', newpasswd => 'second-password');
    my (undef, $old) = bound("uid=one,$base", 'first-password');
    my (undef, $new) = bound("uid=one,$base", 'second-password');
    return join ' ', code($r), code($old), code($new);
};
case password_modify_other => sub {
    my $r = $conn->set_password(user => "uid=one,$base", newpasswd => 'third-password');
    my (undef, $new) = bound("uid=one,$base", 'third-password');
    return join ' ', code($r), code($new);
};
case password_modify_generated => sub {
    my $r = $conn->set_password(user => "uid=one,$base");
    my (undef, $new) = bound("uid=one,$base", $r->gen_password // '');
    return join ' ', code($r), code($new);
};
case unknown_extended => sub { code($conn->extension(name => '1.3.6.1.4.1.4203.666.99.1', value => 'x')) };
case unknown_critical_control => sub { my $c = Net::LDAP::Control->new(type => '1.3.6.1.4.1.4203.666.99.2', critical => 1, value => 'x'); code($conn->search(base => $base, scope => 'base', filter => '(objectClass=*)', control => [$c])) };
case unknown_control => sub { my $c = Net::LDAP::Control->new(type => '1.3.6.1.4.1.4203.666.99.2', critical => 0); code($conn->search(base => $base, scope => 'base', filter => '(objectClass=*)', control => [$c])) };

# Controls, on a branch of their own.
my $lab = "ou=controls,$base";
sub control { my ($kind, @args) = @_; return "Net::LDAP::Control::$kind"->new(critical => 1, @args); }
sub plain { my ($type, $value) = @_; return Net::LDAP::Control->new(type => $type, critical => 1, defined $value ? (value => $value) : ()); }
sub people { my @controls = @_; return $conn->search(base => $lab, scope => 'one', filter => '(objectClass=person)', control => \@controls); }
sub in_order { return join ' ', map { $_->get_value('uid') } $_[0]->entries; }
sub octets { my ($tag, $value) = @_; return pack('CC', $tag, length $value) . $value; }

case controls_add => sub {
    join ' ', code($conn->add($lab, attrs => [objectClass => 'organizationalUnit', ou => 'controls'])),
        map { my $n = 6 - $_; code($conn->add("uid=p$_,$lab", attrs => [objectClass => 'inetOrgPerson', uid => "p$_", cn => "P $_", sn => "Name $n", description => ['red', 'blue']])) } 1 .. 5;
};
case paged => sub {
    my $page = control('Paged', size => 2);
    my (@sizes, @seen);
    while (1) {
        my $r = people($page);
        return code($r) if $r->code;
        push @sizes, $r->count;
        push @seen, map { $_->get_value('uid') } $r->entries;
        my ($answer) = $r->control('1.2.840.113556.1.4.319') or last;
        my $cookie = $answer->cookie;
        last unless defined $cookie && length $cookie;
        $page->cookie($cookie);
    }
    return "@sizes " . joined(@seen);
};
case sorted => sub { my $r = people(control('Sort', order => 'sn')); my ($answer) = $r->control('1.2.840.113556.1.4.474') or return code($r); in_order($r) . ' ' . $answer->result };
case sorted_reversed => sub { in_order(people(control('Sort', order => '-sn'))) };
case vlv => sub {
    my $view = control('VLV', before => 1, after => 1, content => 0, offset => 3);
    my $r = people($view, control('Sort', order => 'sn'));
    my ($answer) = $r->control('2.16.840.1.113730.3.4.10') or return code($r);
    $view->response($answer);
    my $first = in_order($r) . ' ' . $answer->target . '/' . $answer->content;
    $view->end;
    return $first . ', ' . in_order(people($view, control('Sort', order => 'sn')));
};
case manage_dsa_it => sub {
    my $far = "ou=far,$lab";
    my $added = code($conn->add($far, attrs => [objectClass => ['referral', 'extensibleObject'], ou => 'far', ref => 'ldap://far.example.org/ou=far,dc=org'],
        control => [control('ManageDsaIT')]));
    my $below = $conn->search(base => $lab, filter => '(ou=*)');
    my $there = $conn->search(base => "uid=x,$far", scope => 'base', filter => '(objectClass=*)');
    my $managed = $conn->search(base => $lab, filter => '(ou=far)', control => [control('ManageDsaIT')]);
    return join ' ', $added, scalar($below->references), code($there), ($there->referrals)[0], $managed->count, code($conn->delete($far, control => [control('ManageDsaIT')]));
};
case assertion => sub {
    join ' ', map { code($conn->modify("uid=p1,$lab", replace => { title => 'x' }, control => [control('Assertion', assertion => $_)])) } '(sn=none)', '(sn=Name 5)';
};
case pre_and_post_read => sub {
    my $r = $conn->modify("uid=p1,$lab", replace => { title => 'y' }, control => [control('PreRead', attrs => ['title']), control('PostRead', attrs => ['title', 'sn'])]);
    my ($before) = $r->control('1.3.6.1.1.13.1') or return code($r);
    my ($after) = $r->control('1.3.6.1.1.13.2');
    return join ' ', code($r), $before->entry->get_value('title'), $after->entry->get_value('title'), $after->entry->get_value('sn');
};
case matched_values => sub { joined($conn->search(base => "uid=p1,$lab", scope => 'base', filter => '(objectClass=*)', control => [control('MatchedValues', matchedValues => '((description=red)(sn=none))')])->entry(0)->get_value('description')) };
case dereference => sub {
    # Net::LDAP has no module for it: SEQUENCE OF { attribute, the attributes wanted of what it names }.
    my $group = "cn=group,$lab";
    $conn->add($group, attrs => [objectClass => 'groupOfNames', cn => 'group', member => "uid=p1,$lab"]);
    my $wanted = octets(0x30, octets(0x30, octets(0x04, 'member') . octets(0x30, octets(0x04, 'sn'))));
    my $r = $conn->search(base => $group, scope => 'base', filter => '(objectClass=*)', attrs => ['1.1'], callback => undef, control => [plain('1.3.6.1.4.1.4203.666.5.16', $wanted)]);
    my $deleted = code($conn->delete($group));
    return join ' ', code($r), $r->count, $deleted;
};
case proxied => sub {
    my $as = sub {
        my ($c, $who, $dn) = @_;
        my $r = $c->search(base => $dn, scope => 'base', filter => '(objectClass=*)', control => [control('ProxyAuth', authzID => $who)]);
        return $r->count || (code($r) == 123 ? 'denied' : 'hidden');
    };
    $conn->set_password(user => "uid=p1,$lab", newpasswd => 'proxied-password');
    my ($own) = bound("uid=p1,$lab", 'proxied-password');
    return join ' ', $as->($conn, "dn:uid=p1,$lab", "uid=p1,$lab"), $as->($conn, "dn:uid=p1,$lab", "uid=p2,$lab"), $as->($conn, '', "uid=p1,$lab"), $as->($own, "dn:$admin", "uid=p2,$lab");
};
case permissive_modify => sub {
    my $permissive = plain('1.2.840.113556.1.4.1413');
    join ' ', map { code($conn->modify("uid=p2,$lab", @$_, control => [$permissive])) } [add => { description => 'RED' }], [delete => { title => 'none' }];
};
case tree_delete => sub {
    $conn->add("ou=tree,$lab", attrs => [objectClass => 'organizationalUnit', ou => 'tree']);
    person('leaf', dn => "uid=leaf,ou=tree,$lab");
    return join ' ', code($conn->delete("ou=tree,$lab")), code($conn->delete("ou=tree,$lab", control => [control('TreeDelete')])), code($conn->search(base => "ou=tree,$lab", filter => '(objectClass=*)'));
};
case no_op => sub { code($conn->delete("uid=p3,$lab", control => [control('NoOp')])) . ' ' . values_of("uid=p3,$lab", 'uid') };
case relax => sub {
    my @entry = ("uid=old,$lab", attrs => [objectClass => 'inetOrgPerson', uid => 'old', cn => 'Old', sn => 'Old', createTimestamp => '20010101000000Z']);
    return join ' ', code($conn->add(@entry)), code($conn->add(@entry, control => [control('Relax')])), values_of("uid=old,$lab", 'createTimestamp'), code($conn->delete("uid=old,$lab"));
};
case subentries => sub {
    my $added = code($conn->add("cn=hidden,$lab", attrs => [objectClass => ['subentry', 'extensibleObject'], cn => 'hidden', subtreeSpecification => '{}']));
    my $seen = sub { names($conn->search(base => $lab, scope => 'one', filter => '(cn=hidden)', @_)) };
    return join ' ', $added, '[' . $seen->() . ']', $seen->(control => [control('Subentries', visibility => 1)]), code($conn->delete("cn=hidden,$lab"));
};
case dont_use_copy => sub { code($conn->search(base => $lab, scope => 'base', filter => '(objectClass=*)', control => [control('DontUseCopy')])) };
case authorization_identity => sub {
    my $c = connect_to($ldap_uri);
    my $r = $c->bind($admin, password => $password, control => [plain('2.16.840.1.113730.3.4.16')]);
    my ($answer) = $r->control('2.16.840.1.113730.3.4.15') or return code($r);
    return code($r) . ' ' . $answer->value;
};
case session_tracking => sub {
    my $who = join '', map { octets(0x04, $_) } '192.0.2.7', 'portal', '1.3.6.1.4.1.21008.108.63.1.3', 'amartin';
    code($conn->search(base => $lab, scope => 'base', filter => '(objectClass=*)', control => [plain('1.3.6.1.4.1.21008.108.63.1', octets(0x30, $who))]));
};
case transaction => sub {
    my $all = sub {
        my ($commit, @titles) = @_;
        my $id = $conn->extension(name => '1.3.6.1.1.21.1')->response;
        my @codes = map { code($conn->modify("uid=$_,$lab", replace => { title => $titles[0] }, control => [plain('1.3.6.1.1.21.2', $id)])) } 'p4', 'p5';
        my $end = octets(0x30, ($commit ? '' : octets(0x01, "\0")) . octets(0x04, $id));
        return join ' ', @codes, code($conn->extension(name => '1.3.6.1.1.21.3', value => $end)), values_of("uid=p4,$lab", 'title'), values_of("uid=p5,$lab", 'title');
    };
    return $all->(1, 'kept') . ', ' . $all->(0, 'dropped');
};
case sync => sub {
    my ($cookie, %states);
    my $refresh = sub {
        %states = ();
        my $request = control('SyncRequest', mode => 1, defined $cookie ? (cookie => $cookie) : ());
        my $r = $conn->search(base => $lab, scope => 'one', filter => '(objectClass=person)', control => [$request], callback => sub {
            my ($message, $entry) = @_;
            return unless ref $entry && $entry->isa('Net::LDAP::Entry');
            my ($state) = grep { $_->isa('Net::LDAP::Control::SyncState') } $message->control;
            $states{$entry->get_value('uid') // $entry->dn} = $state->state;
        });
        my ($done) = grep { $_->isa('Net::LDAP::Control::SyncDone') } $r->control;
        $cookie = $done->cookie if $done;
        return code($r) . ' ' . joined(map { "$_=$states{$_}" } keys %states);
    };
    my $first = $refresh->();
    $conn->modify("uid=p2,$lab", replace => { title => 'synced' });
    return $first . ', ' . $refresh->();
};
case persistent_search_and_cancel => sub {
    my $c = connect_to($ldap_uri, async => 1);
    $c->bind($admin, password => $password)->sync;
    my @seen;
    my $search = $c->search(base => $lab, scope => 'one', filter => '(objectClass=person)', control => [control('PersistentSearch', changeTypes => 15, changesOnly => 1, returnECs => 1)],
        callback => sub {
            my ($message, $entry) = @_;
            return unless ref $entry && $entry->isa('Net::LDAP::Entry');
            my ($change) = grep { $_->isa('Net::LDAP::Control::EntryChange') } $message->control;
            push @seen, $entry->get_value('uid') . '=' . $change->changeType;
        });
    # A request that is answered after it has begun.
    $c->search(base => '', scope => 'base', filter => '(objectClass=*)')->sync;
    $conn->modify("uid=p1,$lab", replace => { title => 'watched' });
    $c->process until @seen || $search->done;
    return code($search) unless @seen;
    my $cancelled = $c->cancel($search);
    return join ' ', @seen, code($cancelled), code($search);
};

case delete_non_leaf => sub { code($conn->delete("ou=moved,$base")) };
case delete => sub { code($conn->delete("uid=one,$base")) . ' ' . code($conn->search(base => "uid=one,$base", scope => 'base', filter => '(objectClass=*)')) };
case delete_no_entry => sub { my $r = $conn->delete("uid=none,$base"); code($r) . ' ' . $r->dn };
case unbind => sub { code($conn->unbind) };

binmode STDOUT, ':raw';
for my $name (@order) {
    my $result = eval { $cases{$name}->() };
    $result = "error: $@" if $@;
    $result =~ s/\s+/ /g;
    print "$name\t", (utf8::is_utf8($result) ? encode_utf8($result) : $result), "\n";
}
print "client\tNet::LDAP $Net::LDAP::VERSION\n";
