--------------------------- MODULE DirectoryPublish ---------------------------
(* How nodes publish one directory on N storage servers without a lock: what  *)
(* src/mutable/assess-slot.ts, publish.ts, register-history.ts and            *)
(* src/vfs/directory-publisher.ts do, and that no acknowledged change is lost *)
(* by it and nobody waits for ever.  Run: test/model/check                    *)
(*                                                                            *)
(* Named as in the code: Judge is assessSlot, its parts are #tips, #baseOf,   *)
(* #family, #union, #based and #usable; Prove is proveAttempt.                *)
(*                                                                            *)
(* Where the specification and the code differ:                               *)
(* - One share on each server.  Placing shares that are missing, and several  *)
(*   shares on one server, are not modelled; nor are damaged shares.          *)
(* - Contents are sets of changes and a merge is their union: by which table  *)
(*   names are merged, and conflict copies, belong to src/vfs/merge.ts and    *)
(*   have tests of their own.                                                 *)
(* - The directory exists.  A first publish (isNew, isUnborn) has one writer  *)
(*   only, because nobody else knows its key yet.                             *)
(* - Servers are honest and never go back: the branch for servers that do     *)
(*   (isRolledBack) is written down below and not exercised.                  *)
(* - The order of root hashes with equal sequence numbers is arbitrary, so    *)
(*   every order is tried.                                                    *)
(* - Time: an attempt can be proven until its T_pub is over; here that is so  *)
(*   at any moment after somebody's T_settle has begun and ended meanwhile    *)
(*   (T_settle > T_pub).  Retries have no delay, a node may stop anywhere.    *)
(* - With AllAtOnce the first server is not asked alone.  That has all        *)
(*   behaviours of the other and more, and is what the larger runs use.       *)
(* - A reader of another node begins with nothing; ReaderSees is for that.    *)
(* - fsync of a node with nothing of its own takes a version that it sees on  *)
(*   a write quorum for proven (See).  That is so if no write is taken later  *)
(*   than T_settle after it was sent (Prompt).  Without that TLC finds for    *)
(*   2-of-4 that somebody who has given the version up is on the way to       *)
(*   replace it on one server; then for a moment, until he has merged it, a   *)
(*   reader may take his version, which does not contain it.                  *)
EXTENDS Naturals, FiniteSets

CONSTANTS Servers, Nodes,
          Needed,      \* k: shares that rebuild a version
          WriteQuorum, \* W
          Answers,     \* Rq: answers that a map needs
          Overlap,     \* I = N - W + 1
          Changes,     \* by each node, one after the other
          Attempts,    \* of each node, for all its changes
          AllAtOnce,
          Prompt,      \* no server takes a write that was sent before somebody's T_settle began and ended
          Steady,      \* {}: any Answers servers may answer a map, and requests may arrive when their sender has given up.
                       \* Else: these answer each, and what they are sent arrives while its sender waits, or never
          SparesFirst  \* a deliberate defect if FALSE: nobody looks at what he overwrites

N == Cardinality(Servers)
First   == <<"first", 0>>      \* stands everywhere in the beginning
Nothing == <<"none", 0>>

VARIABLES
  held,      \* held[s]: the version on server s
  under,     \* under[s]: versions whose test-and-set is under way to s and would pass now
  made,      \* made[v]: seq, rank (of the root hash), base (named by the IV), lineage (recorded in the journal), content
  phase,     \* of each node: "map", "settle", "write", "prove", "done"
  attempt,   \* attempt[n]: how many n has made
  sight,     \* sight[n][s]: what s has held since n began to read; its answer is one of these
  before,    \* before[n][s]: the map when T_settle began, Nothing where there is none
  abroad,    \* abroad[n]: attempts that were under way then
  applied,   \* applied[n]: servers that took the attempt
  waiting,   \* waiting[n]: servers that get it after the first one took it
  kept,      \* kept[n]: servers that held, in n's map, the version that must stay readable until the attempt is
  remembered, closed,  \* the journal: last version that n proved, number of its attempt
  change,    \* change[n]: the change that n is publishing
  expired,   \* attempts that are older than T_pub
  acknowledged, proven

vars == <<held, under, made, phase, attempt, sight, before, abroad, applied, waiting, kept, remembered, closed, change, expired, acknowledged, proven>>

Above(a, b) == made[a].seq > made[b].seq \/ (made[a].seq = made[b].seq /\ made[a].rank > made[b].rank)
Older(a, b) == made[a].seq < made[b].seq
Highest(V)  == CHOOSE v \in V : \A u \in V \ {v} : Above(v, u)
NoMap       == [s \in Servers |-> Nothing]
Blind       == [s \in Servers |-> {}]
Looking     == [s \in Servers |-> {held[s]}]
Open(n)     == {<<n, a>> : a \in (closed[n] + 1)..attempt[n]}   \* attempts that no proof has closed
Alive       == {v \in DOMAIN made : \E n \in Nodes : v = <<n, attempt[n]>> /\ phase[n] \in {"write", "prove"}}
AnswersTo(A, n) == {m \in [A -> UNION {sight[n][s] : s \in A}] : \A s \in A : m[s] \in sight[n][s]}

------------------------------------------------------------------------------
(* versionNodes: what a version contains, as far as headers and the journal tell *)
RECURSIVE Contains(_, _, _)
Contains(v, nodes, own) ==
  LET direct == (IF v \in own THEN made[v].lineage ELSE {}) \cup ({made[v].base} \cap nodes)
  IN direct \cup UNION {Contains(u, nodes, own) : u \in ((direct \cap nodes) \ {v})}

None == [base |-> Nothing, merged |-> {}, contained |-> {}, usable |-> {}, kept |-> {}, first |-> {}]

(* assessSlot of the map m, with the node's open attempts and what it remembers. *)
Judge(m, own, mine, isSettled) ==
  LET seen     == {m[s] : s \in DOMAIN m}
      count(v) == Cardinality({s \in DOMAIN m : m[s] = v})
      known    == own \cup ({mine} \ {Nothing})
      nodes    == seen \cup known
      lineage  == [v \in nodes |-> Contains(v, nodes, own)]
      standing == {v \in nodes : v = mine \/ count(v) >= WriteQuorum}
      top      == IF standing = {} THEN Nothing ELSE Highest(standing)        \* P
      isTop    == top # Nothing
      readable == {v \in seen : count(v) >= Needed \/ v \in known}
      tips     == {v \in readable : \A u \in readable : v \notin lineage[u]}
      family(T) == {s \in DOMAIN m : \E t \in T :
                      \/ m[s] = t \/ m[s] \in lineage[t]
                      \/ isTop /\ (t = top \/ top \in lineage[t]) /\ Older(m[s], top)}
      strong   == {t \in tips : Cardinality(family({t})) >= Overlap}
      base     == IF strong = {} THEN Nothing ELSE Highest(strong)
      isBelow  == isTop /\ (base = Nothing \/ Older(base, top))
      isRolledBack == isBelow /\ ~\E v \in seen : Older(top, v)
      living   == {t \in tips : ~isTop \/ ~Older(t, top)}
      union    == living # {} /\ Cardinality(family(living)) >= Overlap
      from     == IF isRolledBack THEN (IF isSettled /\ top \in known THEN top ELSE Nothing)
                  ELSE IF base \in living THEN base
                  ELSE IF union /\ isSettled THEN Highest(living) ELSE Nothing
      others   == IF isRolledBack THEN {} ELSE living
      inBase   == {from} \cup lineage[from]
      isApart  == isTop /\ top \notin inBase /\ top \in readable
      inside   == inBase \cup (IF isTop /\ ~isApart THEN {top} ELSE {})
      apart    == {t \in others : t \notin inside} \cup (IF isApart THEN {top} ELSE {})
      contained == inside \cup apart \cup UNION {lineage[t] : t \in apart}
      floor    == IF isTop THEN top ELSE IF isSettled THEN from ELSE Nothing
      old      == IF floor = Nothing THEN {} ELSE {v \in seen : Older(v, floor)}
      dead     == {v \in seen \ readable : count(v) + (N - Cardinality(DOMAIN m)) < WriteQuorum}
      on(V)    == {s \in DOMAIN m : m[s] \in V}
      usable   == IF Cardinality(on(contained \cup old)) >= WriteQuorum \/ ~isSettled THEN on(contained \cup old)
                  ELSE on(contained \cup old \cup dead)
      whole    == {v \in seen : count(v) >= WriteQuorum}
      plain    == {v \in inBase \cap seen : count(v) >= Needed}
      keep     == IF whole # {} THEN on({Highest(whole)}) ELSE IF plain # {} THEN on({Highest(plain)}) ELSE {}
      may      == IF Cardinality(usable) >= WriteQuorum THEN usable ELSE {}
      spare    == IF may \ keep = {} THEN may ELSE may \ keep
  IN IF from = Nothing THEN None
     ELSE [base |-> from, merged |-> {from} \cup apart, contained |-> contained,
           usable |-> may, kept |-> keep, first |-> {s \in spare : \A t \in spare : ~Older(m[s], m[t])}]

(* The first server, alone: one that holds nothing of what is kept, if there is one, and of those one with the newest.   *)
(* All writers take the same, unless what they see, or which servers failed them, differs.                               *)
FirstOf(ground) ==
  LET candidates == IF SparesFirst THEN ground.first ELSE ground.usable
  IN IF Steady = {} \/ candidates = {} THEN candidates ELSE {CHOOSE s \in candidates : TRUE}

(* However many of these servers take it, and whichever: either the kept version or the attempt has k shares then.       *)
(* With a W that is too small for that nobody can do more than to begin with the others.                                 *)
MayOverwrite(n) ==
  \/ ~SparesFirst \/ kept[n] = {}
  \/ Cardinality(kept[n] \cup applied[n]) >= 2 * Needed - 1
  \/ WriteQuorum < 2 * Needed - 1 /\ waiting[n] \subseteq kept[n]

MayWrite(ground) == ground.base # Nothing /\ ground.usable # {}

------------------------------------------------------------------------------
Init ==
  /\ held = [s \in Servers |-> First]
  /\ under = [s \in Servers |-> {}]
  /\ made = [v \in {First} |-> [seq |-> 1, rank |-> 0, base |-> Nothing, lineage |-> {}, content |-> {}]]
  /\ phase = [n \in Nodes |-> "map"]
  /\ attempt = [n \in Nodes |-> 0]
  /\ sight = [n \in Nodes |-> [s \in Servers |-> {First}]]
  /\ before = [n \in Nodes |-> NoMap]
  /\ abroad = [n \in Nodes |-> {}]
  /\ applied = [n \in Nodes |-> {}]
  /\ waiting = [n \in Nodes |-> {}]
  /\ kept = [n \in Nodes |-> {}]
  /\ remembered = [n \in Nodes |-> Nothing]
  /\ closed = [n \in Nodes |-> 0]
  /\ change = [n \in Nodes |-> 1]
  /\ expired = {} /\ acknowledged = {} /\ proven = {}

Answering == IF Steady = {} THEN {A \in SUBSET Servers : Cardinality(A) >= Answers} ELSE {Steady}

(* RegisterHistory: each server that answers held the same when T_settle began, and was asked again after it. *)
IsSettled(n, m) == \A s \in DOMAIN m : before[n][s] = m[s]

(* A map, its judgement, the attempt in the journal, the first writes. *)
Publish(n) ==
  /\ phase[n] = "map" /\ attempt[n] < Attempts
  /\   \E A \in Answering :
     \E m \in AnswersTo(A, n) :
       LET ground == Judge(m, Open(n), remembered[n], IsSettled(n, m))
           v      == <<n, attempt[n] + 1>>
           seqs   == {made[u].seq : u \in {m[s] : s \in A} \cup Open(n) \cup ({remembered[n]} \ {Nothing})}
           seq    == 1 + (CHOOSE x \in seqs : \A y \in seqs : y <= x)
           taken  == {made[u].rank : u \in {w \in DOMAIN made : made[w].seq = seq}}
           passing(T) == {s \in T : held[s] = m[s]}
       IN /\ MayWrite(ground)
          /\ \E rank \in (IF taken = {} THEN {4} ELSE {1, 2, 3, 5, 6, 7} \ taken) :
             /\ (taken = {4} => rank \in {2, 6})
             /\ made' = [u \in DOMAIN made \cup {v} |->
                  IF u # v THEN made[u]
                  ELSE [seq |-> seq, rank |-> rank, base |-> ground.base, lineage |-> ground.contained,
                        content |-> UNION {made[x].content : x \in ground.merged} \cup {<<n, change[n]>>}]]
          /\ attempt' = [attempt EXCEPT ![n] = @ + 1]
          /\ phase' = [phase EXCEPT ![n] = "write"]
          /\ sight' = [sight EXCEPT ![n] = Blind]
          /\ before' = [before EXCEPT ![n] = NoMap]
          /\ IF AllAtOnce
             THEN /\ kept' = kept
                  /\ under' = [s \in Servers |-> IF s \in passing(ground.usable) THEN under[s] \cup {v} ELSE under[s]]
                  /\ waiting' = waiting
             ELSE \E s0 \in FirstOf(ground) :
                  /\ under' = [s \in Servers |-> IF s \in passing({s0}) THEN under[s] \cup {v} ELSE under[s]]
                  /\ waiting' = [waiting EXCEPT ![n] = passing(ground.usable \ {s0})]
                  /\ kept' = [kept EXCEPT ![n] = ground.kept]
  /\ UNCHANGED <<held, abroad, applied, remembered, closed, change, expired, acknowledged, proven>>

(* Nothing may be written now: what stands is kept, T_settle begins. *)
Wait(n) ==
  /\ phase[n] = "map" /\ attempt[n] < Attempts
  /\   \E A \in Answering :
     \E m \in AnswersTo(A, n) :
       /\ ~MayWrite(Judge(m, Open(n), remembered[n], FALSE))
       /\ before' = [before EXCEPT ![n] = [s \in Servers |-> IF s \in A THEN m[s] ELSE Nothing]]
  /\ abroad' = [abroad EXCEPT ![n] = Alive \cup (IF Prompt THEN UNION {under[s] : s \in Servers} ELSE {})]
  /\ phase' = [phase EXCEPT ![n] = "settle"]
  /\ sight' = [sight EXCEPT ![n] = Blind]
  /\ UNCHANGED <<held, under, made, attempt, applied, waiting, kept, remembered, closed, change, expired, acknowledged, proven>>

(* T_settle is over: whatever was under way when it began is older than T_pub now.  Everything is read again. *)
LookAgain(n) ==
  /\ phase[n] = "settle"
  /\ phase' = [phase EXCEPT ![n] = "map"]
  /\ sight' = [sight EXCEPT ![n] = Looking]
  /\ expired' = expired \cup abroad[n]
  /\ abroad' = [abroad EXCEPT ![n] = {}]
  /\ IF Prompt
     THEN /\ under' = [s \in Servers |-> under[s] \ abroad[n]]
          /\ waiting' = [m \in Nodes |-> IF <<m, attempt[m]>> \in abroad[n] THEN {} ELSE waiting[m]]
     ELSE UNCHANGED <<under, waiting>>
  /\ UNCHANGED <<held, made, attempt, before, applied, kept, remembered, closed, change, acknowledged, proven>>

(* A server applies a test-and-set.  All others under way to it will fail now, and so are forgotten. *)
Apply(s) ==
  \E v \in under[s] :
    /\ held' = [held EXCEPT ![s] = v]
    /\ under' = [under EXCEPT ![s] = {}]
    /\ applied' = [n \in Nodes |-> IF v = <<n, attempt[n]>> /\ phase[n] = "write" THEN applied[n] \cup {s} ELSE applied[n]]
    /\ waiting' = [n \in Nodes |-> waiting[n] \ {s}]
    /\ sight' = [n \in Nodes |-> IF phase[n] \in {"map", "prove"} THEN [sight[n] EXCEPT ![s] = @ \cup {v}] ELSE sight[n]]
    /\ UNCHANGED <<made, phase, attempt, before, abroad, kept, remembered, closed, change, expired, acknowledged, proven>>

(* The first server took it: the others follow, first those that hold nothing of what is kept if it may not be touched. *)
WriteRest(n) ==
  LET next == IF MayOverwrite(n) THEN waiting[n] ELSE waiting[n] \ kept[n] IN
  /\ phase[n] = "write" /\ applied[n] # {} /\ next # {}
  /\ under' = [s \in Servers |-> IF s \in next THEN under[s] \cup {<<n, attempt[n]>>} ELSE under[s]]
  /\ waiting' = [waiting EXCEPT ![n] = @ \ next]
  /\ UNCHANGED <<held, made, phase, attempt, sight, before, abroad, applied, kept, remembered, closed, change, expired, acknowledged, proven>>

ReadBack(n) ==
  /\ phase[n] = "write" /\ Cardinality(applied[n]) >= WriteQuorum
  /\ <<n, attempt[n]>> \notin expired
  /\ phase' = [phase EXCEPT ![n] = "prove"]
  /\ sight' = [sight EXCEPT ![n] = Looking]
  /\ applied' = [applied EXCEPT ![n] = {}]
  /\ kept' = [kept EXCEPT ![n] = {}]
  /\ UNCHANGED <<held, under, made, attempt, before, abroad, waiting, remembered, closed, change, expired, acknowledged, proven>>

(* versionsContaining: built on it by what their headers say, directly or through each other. *)
RECURSIVE BuiltOn(_, _, _)
BuiltOn(x, v, seen) == x = v \/ made[x].base = v \/ (made[x].base \in seen \ {x} /\ BuiltOn(made[x].base, v, seen))

Stands(v, m) ==
  LET seen     == {m[s] : s \in DOMAIN m}
      count(x) == Cardinality({s \in DOMAIN m : m[s] = x})
      with     == {x \in seen : BuiltOn(x, v, seen)}
      silent   == N - Cardinality(DOMAIN m)
  IN /\ Cardinality({s \in DOMAIN m : m[s] \in with}) >= WriteQuorum
     /\ \A x \in seen \ with : Above(x, v) => count(x) + silent < Needed
     /\ v \notin seen \/ count(v) >= Needed \/ with \ {v} # {}

Prove(n) ==
  LET v == <<n, attempt[n]>> IN
  /\ phase[n] = "prove" /\ v \notin expired
  /\ \E A \in SUBSET Servers : \E m \in AnswersTo(A, n) : Stands(v, m)
  /\ acknowledged' = acknowledged \cup {<<n, change[n]>>}
  /\ proven' = proven \cup {v}
  /\ remembered' = [remembered EXCEPT ![n] = v]
  /\ closed' = [closed EXCEPT ![n] = attempt[n]]
  /\ change' = [change EXCEPT ![n] = @ + 1]
  /\ waiting' = [waiting EXCEPT ![n] = {}]
  /\ applied' = [applied EXCEPT ![n] = {}]
  /\ IF change[n] < Changes /\ attempt[n] < Attempts
     THEN phase' = [phase EXCEPT ![n] = "map"] /\ sight' = [sight EXCEPT ![n] = Looking]
     ELSE phase' = [phase EXCEPT ![n] = "done"] /\ sight' = [sight EXCEPT ![n] = Blind]
  \* the proof closes the attempts: what they recorded of their lineage is not kept
  /\ made' = [x \in DOMAIN made |-> IF x \in Open(n) THEN [made[x] EXCEPT !.lineage = {}] ELSE made[x]]
  /\ abroad' = [u \in Nodes |-> abroad[u] \ {v}]
  /\ UNCHANGED <<held, under, attempt, before, kept, expired>>

(* standingVersion: an fsync of a node with nothing of its own believes a version that it sees on a write quorum. *)
See(n) ==
  /\ Prompt /\ phase[n] = "map"
  /\ \E A \in SUBSET Servers : Cardinality(A) >= Answers /\
     \E m \in AnswersTo(A, n) : \E v \in {m[s] : s \in A} \ {First} :
       /\ Stands(v, m)
       /\ acknowledged' = acknowledged \cup made[v].content
       /\ proven' = proven \cup {v}
  /\ UNCHANGED <<held, under, made, phase, attempt, sight, before, abroad, applied, waiting, kept, remembered, closed, change, expired>>

(* Refused, doubtful, late, or the node was killed: the journal is what is left, and the next round begins with a map. *)
GiveUp(n) ==
  /\ phase[n] \in {"write", "prove"} /\ attempt[n] < Attempts
  /\ under' = IF Steady = {} THEN under ELSE [s \in Servers |-> under[s] \ {<<n, attempt[n]>>}]
  /\ phase' = [phase EXCEPT ![n] = "map"]
  /\ sight' = [sight EXCEPT ![n] = Looking]
  /\ applied' = [applied EXCEPT ![n] = {}]
  /\ waiting' = [waiting EXCEPT ![n] = {}]
  /\ expired' = expired \ {<<n, attempt[n]>>}
  /\ abroad' = [u \in Nodes |-> abroad[u] \ {<<n, attempt[n]>>}]
  /\ kept' = [kept EXCEPT ![n] = {}]
  /\ UNCHANGED <<held, made, attempt, before, remembered, closed, change, acknowledged, proven>>

Next == \/ \E s \in Servers : Apply(s)
        \/ \E n \in Nodes : Publish(n) \/ Wait(n) \/ LookAgain(n) \/ WriteRest(n) \/ ReadBack(n) \/ Prove(n) \/ See(n) \/ GiveUp(n)

Spec == Init /\ [][Next]_vars

------------------------------------------------------------------------------
(* Safety *)
NothingLost == proven = {} \/ acknowledged \subseteq made[Highest(proven)].content

ReaderSees ==
  \A A \in SUBSET Servers : Cardinality(A) >= Answers =>
    LET ground == Judge([s \in A |-> held[s]], {}, Nothing, FALSE)
    IN ground.base # Nothing => acknowledged \subseteq made[ground.base].content

(* At every moment everybody can read all that was acknowledged.  Only where the same servers answer always: with others *)
(* silent each time nobody can tell which of several half publishes it is that can still be read.                        *)
StaysReadable ==
  \E v \in DOMAIN made : Cardinality({s \in Servers : held[s] = v}) >= Needed /\ acknowledged \subseteq made[v].content

ProvenRelated ==
  \A x, y \in proven : made[x].content \subseteq made[y].content \/ made[y].content \subseteq made[x].content

(* Progress: when all servers answer and nothing moves, whoever has something to publish may write after T_settle. *)
MayGoOn(n) == MayWrite(Judge(held, Open(n), remembered[n], TRUE))

EverybodyGoesOn == \A n \in Nodes : (phase[n] \in {"map", "settle"} /\ attempt[n] < Attempts) => MayGoOn(n)

(* With k > 1 a half publish can be read by its author only: then at least somebody can. *)
SomebodyGoesOn == \E n \in Nodes : MayGoOn(n)

Symmetry == {f \in [Servers \cup Nodes -> Servers \cup Nodes] :
  /\ \A s \in Servers : f[s] \in Servers /\ (s \in Steady <=> f[s] \in Steady) /\ \A n \in Nodes : f[n] \in Nodes
  /\ \A a, b \in Servers \cup Nodes : a # b => f[a] # f[b]}
=============================================================================
