"""Plain sentences about today, which the old books can't have: patterns for teaching.py, `[a|b]` a choice, ‹a|b› the right word and a wrong one."""

from __future__ import annotations

import random

PEOPLE = "users people students readers scientists engineers teachers doctors children teams companies writers visitors researchers".split()
FIELDS = """science medicine education business history music art farming sport industry research travel health language""".split()
TOOLS = "a computer|a tablet|a phone|the internet|a camera|a robot|a website|an app|a spreadsheet|a map|a model|a chart".split("|")
PLANETS = "Mars Venus Jupiter Saturn Mercury Neptune".split()
CITIES = """London Paris Berlin Tokyo Madrid Rome Chicago Boston Oslo Vienna Cairo Toronto Dublin Athens Lisbon Warsaw Prague Moscow Sydney
Seattle Denver Dallas Houston Miami Montreal Glasgow Oxford Cambridge Bristol Hamburg Munich Zurich Geneva Milan Venice Naples Barcelona
Stockholm Helsinki Copenhagen Istanbul Delhi Mumbai Beijing Shanghai Seoul Melbourne Auckland Nairobi Lima""".split()
WOMEN = """Maria Sarah Laura Emily Sofia Anna Julia Susan Karen Linda Nancy Lisa Helen Carol Ruth Diana Rachel Alice Emma Grace Olivia Hannah
Claire Martha Irene Joan""".split()
MEN = """Peter David James Daniel Robert Michael Thomas Paul Mark Kevin Brian George Edward Steven Simon Martin Frank Eric Henry Adam Carl
Oscar Philip Victor Walter Alan""".split()
NAMES = WOMEN + MEN
NUMBERS = "two three four five six seven eight nine ten twelve fifteen twenty thirty forty fifty sixty".split()

PATTERNS = """
Data visualization [empowers|helps|allows|enables] {people} to [explore|understand|compare|see|discover|analyze|present|share] [patterns|trends|changes|differences|large amounts of data|complex information|results|relationships] [in|behind] [their|the] [data|numbers|results|work].
[Good|Clear|Simple|Interactive] [charts|graphs|maps|pictures] [help|allow] {people} [to see|to understand|to find|to remember] [what the numbers mean|patterns in the data|how things change over time|which parts belong together].
Data visualization is the [art|practice|science] of showing [data|information|numbers] [in pictures|as charts and maps|so that people can see what it means].
A [bar|line|pie] ‹chart|tree› shows [how many|how much|how often] [something happens|people agree|has changed over the years].
With [a good picture|one chart|a simple map], {people} can [see at once|understand quickly|explain to others] what [thousands of numbers|a long table|a long report] would hide.
[Artificial intelligence|Machine learning|A language model|A neural network] [is used to|can be used to|helps {people} to|learns to] [recognize faces|translate texts|recognize speech|answer questions|find patterns in data|write text|play games|drive cars|predict the weather].
Artificial ‹intelligence|water› is [changing|transforming|shaping] [the way|how] {people} [work|learn|live|travel|communicate|think about {field}].
[Many|Some|Most] {people} [use|work with|trust|study] [artificial intelligence|machine learning|computers|neural networks] [every day|at work|in {field}|to save time|to solve hard problems].
A language model [predicts|guesses|calculates] the next [word|token] [from the words before it|of a text|by looking at what came before].
A transformer is a [kind of|type of] neural network that [reads a text|looks at every word|uses attention] to [predict the next word|decide which words matter|understand the context].
Attention [lets|allows] [each word|every token|the model] [look at|look back at|use] the [words|tokens] that [came before|stand before it|matter most].
[A neural network|The model|The network] [learns|is trained|improves] by [reading many examples|making small corrections|comparing its answer with the right one|adjusting its weights].
The model was trained on [a large amount of text|thousands of books|millions of words] and can [write|complete|continue] [sentences|stories|a text].
[Machine|Deep] ‹learning|water› is a [part|branch] of artificial intelligence that [uses data|learns from examples|finds patterns without being told the rules].
The robot [picked up|carried|dropped|looked at|moved] the [box|glass|ball|chair] and [put it on the table|opened the door|waited for new instructions|stopped].
As the spaceship was [approaching|leaving|circling|passing] the [planet|moon|station|asteroid|red planet], the [crew|captain|pilot|computer] [looked out of the window|saw a bright light|prepared for the landing|sent a message to Earth|noticed something strange|checked the instruments].
The spaceship [landed on|flew past|left|reached|approached] {planet} after [a long journey|{number} months|many years|a difficult flight].
The [astronauts|crew] [walked on|landed on|studied|took pictures of] the [moon|planet|surface of {planet}] [for {number} days|before they returned to Earth|and collected stones|with great care].
{planet} is a [planet|world] [that moves around the sun|in our solar system|which can be seen at night|far from the Earth].
The [Earth|moon] moves around the ‹sun|street› [once a year|in a great circle|without ever stopping].
The [rocket|spaceship|satellite] [rose|climbed|flew] [into the sky|into space|above the clouds] with a [loud noise|bright flame|great roar].
From the [window|station|spaceship], the [Earth|planet] looked [like a blue ball|small and quiet|bright and beautiful].
A [telescope|satellite|space station] [allows|helps] scientists [to see distant stars|to study the weather|to watch the Earth|to look far into space].
The [conference|meeting|lecture|workshop] [begins|starts|opens] at [nine|ten|two] o'clock in the [morning|afternoon] and [ends|is over] at [five|six|noon].
At the [conference|meeting|workshop] in {city}, {people} [presented|discussed|shared|showed] [new ideas|their results|their research|a new method|the latest work in {field}].
[The IEEE|This year's|The annual|The international] conference [is held|takes place|will be held] in {city} [every year|in October|this summer|for the first time].
The [researchers|scientists|students] [presented|published|wrote] a paper [about|on] [attention|language models|data visualization|climate change|the human brain|{field}].
The [speaker|professor|teacher] [showed|explained|drew] [a picture|a chart|an example|the results] on the [screen|board|wall] and [asked for questions|everyone listened|the audience laughed].
The museum is [closed|open] on [Mondays|Sundays|Tuesdays], but on every other day of the ‹week|month› it is [open|closed] [from nine to five|to all visitors|until the evening].
The [library|museum|shop|bank|office|post office] [opens|closes] at [eight|nine|ten|six] o'clock [in the morning|on weekdays|except on Sundays].
To make [bread|a cake|pancakes|soup|tea|a salad], you need [flour, water, salt and yeast|flour, eggs, butter and sugar|eggs, milk and flour|vegetables, water and salt|hot water and a cup|lettuce, tomatoes and oil].
[Wash|Cut|Boil|Peel|Mix] the [potatoes|carrots|vegetables|apples|eggs], then [add|stir in|pour in] [some salt|a little water|the butter|two spoons of oil] and [cook|bake|wait|stir] for {number} ‹minutes|books›.
[Put|Place] the [cake|bread|pan] in the oven and [bake|leave] it for {number} ‹minutes|birds›.
{girl} [turned on|opened|closed|switched off] the [computer|laptop|tablet] and [began to write|read the news|answered her messages|looked for the file|watched a film].
{name} [sent|wrote|received|read] [an email|a message|a letter] [to the teacher|from a friend|about the meeting|before lunch].
[Click|Press|Tap] the [button|icon|key] to [open|close|save|print|send|start] the [file|window|program|message|page].
You can [use|change|download|install] the [program|app|software] [for free|in a few minutes|without an account|on any computer].
The [password|file|website|page] [was changed|could not be found|is not correct|was saved] [yesterday|again|by mistake|this morning].
The [train|bus|plane] to {city} [leaves|arrives|departs] at [seven|eight|nine|ten] o'clock from [platform {number}|the main station|the new terminal].
The [flight|journey|train ride] from {city} to {city2} takes [about|almost|more than] {number} ‹hours|shoes›.
The [city|government|town|council] [built|opened|planned|closed] a new [bridge|school|hospital|park|road|railway] [last year|near the river|for everyone|in the center of the city].
The [weather|forecast] [today|tomorrow] will be [sunny and warm|cold and windy|cloudy with some rain|dry and mild].
[It rained|It snowed|The sun shone] all [day|night|week], so [the streets were wet|we stayed at home|the children played outside|the match was postponed].
It was a hot day. The [boy|man|dog|farmer] was thirsty, so he wanted to drink some cold ‹water|bread›.
It was a cold [day|night|morning], so {name} put on a warm ‹coat|river› [and went outside|before leaving|and a hat].
The [doctor|nurse] [told|asked|advised] the patient to [rest|drink more water|take the medicine|come back next week|stay in bed].
[Regular exercise|Good food|Enough sleep|Fresh air] [is important for|helps|is good for] [your health|children|the heart|the brain].
The [team|club|girls|players] won the [match|game|final] by {number} [goals|points] and [celebrated|cheered|went home happy|received a prize].
The [scientist|researcher|student] [measured|observed|tested|repeated] the [temperature|experiment|results|effect] [again|every hour|in the laboratory|with great care].
Water [freezes|turns into ice] at [zero degrees|a low temperature] and [boils|turns into steam] at [a hundred degrees|a high temperature].
[Plants|Trees|Flowers] need [light|water|air|sunlight], and they [grow|bloom] [in spring|when it is warm|toward the sun].
The [climate|weather|world] is [changing|getting warmer], and [scientists|many people|governments] [are looking for|want to find|talk about] [solutions|answers|new sources of energy].
[Solar|Wind|Clean] [energy|power] [is|has become] [cheaper|important|more common] [every year|in many countries|than coal].
The [human|animal] brain [has|contains|is made of] [billions of|many] [cells|nerve cells] that [work together|send signals to each other].
The [story|book|film|article] is about [a girl who|a man who|a family that|two friends who] [moves to {city}|discovers a secret|travels around the world|finds an old map].
[The invoice|The bill|The order] for the [machine|computer|chairs|books|reactor] was [paid|sent|lost|higher than expected] [on Friday|last week|by the office|in January].
The company [sells|makes|designs|develops] [computers|cars|furniture|software|medicines|toys] and has [offices in {city}|many customers|more than {number} employees].
The [price|cost|number] of [houses|food|energy|tickets|cars] [rose|fell|did not change] by {number} ‹percent|letters› [last year|this month|in ten years].
[In my opinion|For example|However|As a result|In other words], [it is important to|we should|it is not easy to] [learn from mistakes|ask good questions|listen to others|save water|understand the problem].
The [teacher|professor] asked the [students|class] to [open their books|solve the problem|write a short text|work in groups|read the first chapter].
[Mathematics|Physics|Chemistry|Biology|History] is [the study of|about] [numbers and shapes|matter and energy|living things|the past|how things work].
The answer to the [question|problem] is [simple|not known|on the next page|easy to find], but [few people know it|it takes time to understand|nobody asked].
[Scientists|Engineers|Doctors] [have found|discovered|developed|built] a new [way|method|machine|material|medicine] to [clean water|store energy|treat the disease|help {people}|measure time].
[More and more|Many|Not all] {people} [work from home|travel by train|read on their phones|learn a second language|use {tool}].
{people} use {tool} to [find information|learn new things|talk to friends|plan their day|solve problems|make decisions].
[Music|Reading|Travel|Painting|Cooking] [makes|helps|teaches] {people} [to relax|to think|happy|to understand each other].
Welcome to {city}! [We hope you enjoy your stay|Please follow the signs|The tour begins in {number} minutes].
Please [turn off|put away|do not use] your [phone|computer|camera] [during|in] the [lesson|film|concert|meeting].
[Last|Next] [week|month|year|summer], {name} [moved|travelled|flew|will move|wants to go] to {city} to [study {field}|visit a friend|find a new job|see the museum].
{girl} [is|works as] a [teacher|doctor|nurse|driver|cook|programmer|writer|lawyer] in {city} and [likes her work|has two children|speaks three languages|rides a bike to work].
The [old|new] [lighthouse|factory|theatre|station] [stands|was built] [near the sea|in the middle of the town|a hundred years ago] and [is now a museum|can be seen from far away|will be closed next year].
The cat [sat|slept|lay] on the [mat|chair|table|sofa|bed] and [looked at the bird|dreamed|did not move|washed its face].
The quick brown fox [jumps|jumped] over the lazy ‹dog|house›.
""".strip().splitlines()

# School, work, weather, software, science for children, the news in one sentence, the house, travel, health, sports, food, nature, books.
TODAY = """
The [teacher|school|class|head teacher] [begins|starts|ends] [the day|every lesson] with [a song|a question|a short test|a story] [on Mondays|every morning|after the break].
{girl} [forgot|finished|copied|lost|handed in] [her homework|the essay|the worksheet|the exercise book] [on Monday|yesterday|before the lesson|at home].
The children [read|write|draw|count|spell] [in the classroom|at their desks|with the new teacher|for half an hour] [before lunch|every day|on Fridays].
In [mathematics|history|geography|music|art|science], we learned about [fractions|the Romans|rivers and mountains|rhythm|colours|magnets] [today|last week|this year].
The school bus [leaves|stops|arrives] at [half past seven|eight o'clock|a quarter past three] [in front of the school|near the park|at the corner].
{name} [passed|failed|is preparing for|is afraid of] the [exam|test|driving test] [in {field}|next week|with good marks|for the second time].
[Please|Now] [open your book at page|read the text on page|look at the picture on page|do the exercise on page] {number}.
The students [asked|answered|discussed] [{number} questions|many questions|a difficult question] about [the book|the film|the experiment|{field}].
A [pupil|student|teacher] [needs|uses|carries] [a pen and paper|a ruler and a pencil|a bag full of books|a good dictionary].
The [library|classroom|gym|playground] is [next to|behind|opposite|above] the [office|hall|kitchen|garden] of the school.
If you don't understand the [question|word|exercise|rule], ask [the teacher|a friend|your parents|someone] for ‹help|rain›.
The longest break is [at noon|after the third lesson|before mathematics], when the children [eat|play football|run around|talk] [outside|in the yard].
{girl} [started|left|lost|found|likes] her [job|work|new job] [at the bank|at the hospital|in a small office|in {city}] [last month|two years ago|in spring].
The meeting [was moved|was cancelled|will begin|ended] [to Thursday|because of the snow|in {number} minutes|with a short discussion].
[Our|The] boss [asked|told|thanked] the [team|workers|secretary] [to work faster|to finish the report|for the good work|to come on Saturday].
The report [must be|was|should be] [finished|sent|printed|checked] [by Friday|before the meeting|on time|twice].
[Workers|Employees|Nurses|Drivers] in {city} [want|ask for|received|get] [higher pay|shorter hours|better rooms|more holidays].
{name} works [from nine to five|at night|on weekends|from home] and [earns enough|likes the quiet|often feels tired|takes the bus].
The [factory|office|shop|company] [employs|needs|is looking for|hired] {number} [new workers|engineers|drivers|cooks].
A carpenter works with ‹wood|bread›, and a baker works with ‹flour|wood›.
[Send|Write|Show] me [the list|the numbers|the plan|the address] [before you leave|by email|as soon as you can|when it is ready].
The customer [complained|called|waited|asked] [about the bill|twice|for an hour|because the machine was broken].
Tomorrow [it will rain|it will snow|the sun will shine|it will be windy] in the [north|south|east|west], with [strong winds|light clouds|some fog|temperatures of {number} degrees].
[After the storm|In the morning|During the night], [the roads were closed|a tree lay on the road|the lights went out|the river was high].
The temperature [rose|fell|will rise|will fall] to {number} ‹degrees|apples› [in the afternoon|by the evening|on Sunday].
[Dark|White|Grey] clouds [came|moved|gathered] [from the west|over the sea|over the town], and [soon it rained|the air was cold|everyone went inside].
When it [rains|is raining], people open their ‹umbrellas|letters›.
When the sun [shines|comes out], the snow ‹melts|sings›.
[Fog|Snow|Ice|Rain] made the roads [slippery|dangerous|wet|hard to see] [this morning|in the mountains|for many drivers].
The [wind|storm] [blew|tore|knocked] [the leaves from the trees|the roof from the barn|the fence over|hats from people's heads].
A rainbow appears when the sun shines through the ‹rain|wall›.
In [winter|summer|spring|autumn], [the days are short|the days are long|the birds come back|the leaves fall] in [our country|the north|the mountains].
[In July|This week|On the coast] it was [hot and dry|cool and cloudy|warm but wet], so [the beach was full|the fields were brown|we took our coats].
The new version of the [program|app|browser|game] [fixes {number} errors|is faster|needs more memory|can be downloaded today].
[Save|Close|Rename|Copy|Delete] the [file|folder|document|picture] before you [turn off the computer|leave|start the update].
If the [program|screen|page] does not [respond|load|open], [restart the computer|check the connection|wait a moment|try again later].
The [server|website|network|database] was [down|slow|not available|under attack] for {number} [minutes|hours|days].
A computer [stores|processes|sends|receives] [information|numbers|pictures|messages] as [zeros and ones|bits|data].
[Programmers|Developers|Students] [write|test|read|change] code in [Python|Java|C|many languages] [every day|to solve problems|with great care].
The program prints the [sum|product|list|names] of [the numbers|two values|all users|the first ten lines].
To [log in|create an account|reset your password], [enter your name|click the link in the email|type the code|choose a new password].
The [keyboard|mouse|screen|printer|battery] is [broken|new|too small|empty|not connected].
[An error|A warning|A message] [appeared|was shown] on the screen: the file could not be ‹found|eaten›.
The [phone|tablet|laptop] [needs to be charged|lay on the desk|fell on the floor|rang during the meeting].
The search [found|returned] {number} [results|pages|pictures|matches], but [none of them was useful|the first one was right|it took a long time].
The sun is a ‹star|planet›, and the Earth is a ‹planet|star›.
The moon [shines|is bright] because it [reflects|throws back] the light of the ‹sun|sea›.
A [magnet|strong magnet] [attracts|pulls|picks up] [iron|nails|pins|steel], but not ‹wood|iron›.
[Plants|Leaves|Trees] use [sunlight|light from the sun], water and air to make [food|sugar], and they give off ‹oxygen|gold›.
[Sound|Light] travels [through air|in waves|very fast|through water], and [light is faster than sound|it can be reflected|we can measure its speed].
Ice is frozen ‹water|milk›, and steam is water that has become a ‹gas|stone›.
[An insect|An ant|A bee] has six ‹legs|wheels›, and a spider has ‹eight|two›.
[Fish|Sharks|Trout] breathe [with gills|under water], but [whales|dolphins] must come up for ‹air|bread›.
The heart [pumps|pushes|moves] ‹blood|sand› through the body, and the lungs take in ‹air|milk›.
[Dinosaurs|Mammoths] [lived|died out] [millions of years ago|long before people|a very long time ago], and we know them from [bones|fossils|footprints].
A [seed|bean|nut] [grows|can grow] into a [plant|tree] if it has [water and warmth|good soil|enough light].
[Gold|Iron|Copper|Silver] is a ‹metal|fruit›, and [glass|wood|stone|plastic] is not.
[The Earth|Our planet] turns once a [day|night and day], so we have day and ‹night|snow›.
When you [heat|warm] [air|water|a metal], it [expands|takes up more room]; when you cool it, it ‹shrinks|sings›.
A thermometer measures ‹temperature|time›, and a clock measures ‹time|temperature›.
[Caterpillars|A caterpillar] turn into ‹butterflies|horses› [in summer|after some weeks|inside a cocoon].
[Bats|Owls] [sleep|rest] during the day and [hunt|fly] at ‹night|school›.
[Electricity|Electric current] [flows|moves] through [wires|metal|the lamp], and [makes the lamp shine|drives the motor|charges the battery].
An experiment [needs|begins with|answers] a ‹question|sausage›, and a good scientist [writes down|measures|checks] [everything|the results|each step].
Gravity [pulls|draws] [everything|the apple|the ball] [down|towards the ground], so [things fall|the ball comes back|the moon stays near the Earth].
Police [found|arrested|are looking for|stopped] [a man|two men|a driver|the thief] [in {city}|near the station|after a robbery|on Friday night].
The [president|prime minister|mayor|king] [of the country|of {city}] [visited|opened|promised|announced] [a new hospital|the flooded villages|lower taxes|the results of the vote] [on Tuesday|this week|yesterday].
[Heavy rain|A strong storm|An earthquake|A fire] [damaged|destroyed|hit] [{number} houses|the harbour|the old bridge|a factory] in {city} [on Monday|last night|early this morning].
The [election|vote|match|trial] in {city} [begins|ends|was postponed|takes place] [on Sunday|next week|after {number} days|in May].
[Prices|Rents|Taxes|Wages] [rose|fell] by {number} percent [last year|in January|in {city}|according to a report].
[Scientists|Researchers|Doctors] in {city} [say|report|have shown] that [sleep helps memory|the ice is melting faster|the new medicine works|many birds are disappearing].
{city} [won|lost|beat {city2}] [the cup|by two goals|after extra time|in the final] [on Saturday|last night|for the first time].
[A ship|A train|A plane|A bus] with {number} [passengers|people] on board [arrived late|was stopped|left the road|had to turn back], but nobody was ‹hurt|green›.
The [museum|zoo|theatre|airport] of {city} [will close|has opened|reported|expects] [for repairs|a new hall|fewer visitors|more guests] [this year|next month|in summer].
[Thousands|Hundreds] of people [marched|danced|waited|protested] [in the streets of {city}|in front of the parliament|against the new law|for peace].
[The weather service|The government|The police] [warned|told] people [to stay at home|not to swim in the river|to drive slowly|to save water].
[A young woman|A teacher|A farmer|A team of students] from {city} [won a prize|found an old coin|built a robot|set a record].
[Every morning|On Sundays|After work], {girl} [makes coffee|goes for a run|feeds the cat|reads the newspaper|waters the plants] and [then goes to work|calls her mother|listens to the radio].
The [fridge|oven|washing machine|lamp|heater] in the [kitchen|cellar|bathroom|hall] [is broken|makes a noise|is new|needs to be cleaned].
[We|They|The neighbours] [painted|cleaned|sold|bought|repaired] the [house|kitchen|fence|car|roof] [last summer|in {number} days|together|for little money].
Please [wash your hands|set the table|close the window|turn off the light|take out the rubbish] before [dinner|you go|you sleep].
For [breakfast|lunch|dinner] we had [bread and cheese|rice with vegetables|eggs and tea|soup and salad|fish with potatoes].
The [baby|child|dog|cat] [is asleep|is hungry|cried|played] [in the next room|on the floor|all night|under the table].
[Turn left|Turn right|Go straight on] at the [church|traffic light|bridge|second corner], and you will see the [station|hotel|museum|market] on your ‹right|soup›.
The hotel [has|offers] {number} rooms, [a garden|a pool|free internet|a good kitchen], and [breakfast is included|it is near the sea|pets are welcome].
[Two tickets|One ticket|Three tickets] to {city}, please. [The train leaves|The bus leaves] [at noon|in {number} minutes|from platform {number}].
[We took|They missed|He caught] the [first|last|early|night] [train|bus|ferry] to {city} and [arrived in the morning|slept on the way|saw the mountains].
My [passport|bag|ticket|suitcase|umbrella] [is in the car|was stolen|is lost|is at home|is on the table].
[A bicycle|A bike] has two ‹wheels|eyes›, and a car has ‹four|no›.
[Take|Drink] this [medicine|syrup|tea] [twice a day|after meals|before you sleep|for {number} days], and [stay in bed|call me|you will feel better].
{name} has [a cold|a fever|a headache|a broken arm|a cough] and [stays at home|must see the doctor|drinks hot tea|cannot play].
[Wash|Brush] your [hands|teeth] [after eating|before bed|every morning|with soap], says the ‹doctor|river›.
The [dentist|doctor|nurse] [looked at|examined|cleaned] [the tooth|the wound|his ears|her eyes] and said [it was nothing bad|it would heal|come again in {number} weeks].
[Our team|The home team|{name}] [scored|missed|stopped] [a goal|the ball|a penalty] in the [last minute|first half|second half], and the crowd ‹cheered|baked›.
The [runner|swimmer|cyclist|skier] [won|finished|fell|trained] [in {number} minutes|in first place|near the end|for {number} years].
A football team has eleven ‹players|planets›.
To play [chess|cards|tennis], you need [two players|a board|a ball|time], and the [winner|loser] [begins the next game|pays for the drinks|is happy].
[Mix|Stir|Beat] the [eggs|flour|butter] with the [sugar|milk|salt], pour it into a [pan|bowl|form], and ‹bake|read› it for {number} minutes.
[Add|Use] [one cup|two cups|half a cup] of [rice|flour|milk|water], [a little|some] [oil|salt|butter], and [cook it slowly|stir it well|let it rest].
The [tomatoes|onions|apples|potatoes] are [fresh|cheap|from our garden|too old], and the [bread|cheese|fish|meat] is [still warm|from the market|on the table].
[Cows|Goats] give us ‹milk|wool›, sheep give us ‹wool|eggs›, and hens lay ‹eggs|milk›.
[Farmers|Gardeners] [plant|sow|water] [corn|beans|carrots|potatoes] in [spring|April|May] and [harvest|pick|dig up] them in [autumn|September|summer].
[The forest|A forest|The old wood] is [home to|full of] [deer and foxes|birds and insects|tall trees|mushrooms], and [people walk there|it is cool in summer|the air is clean].
An elephant is [bigger|heavier] than a ‹mouse|mountain›, and a mouse is smaller than an ‹elephant|ant›.
The [Amazon|Nile|Danube|Rhine] is a [long|great|famous] ‹river|mountain›, and [Everest|Etna] is a ‹mountain|river›.
[Africa|Asia|Europe|America] is a [large|great] ‹continent|city› with [many countries|many languages|high mountains|long rivers].
[Most|Many] people in {city} [speak|learn|understand] [English|French|Spanish|two languages|more than one language].
There are [sixty|exactly sixty] minutes in an ‹hour|year›, and twenty-four hours in a ‹day|minute›.
A week has seven ‹days|hours›, and a year has twelve ‹months|weeks›.
If you [mix|put together] [blue and yellow|yellow and blue], you get ‹green|black›; red and white make ‹pink|green›.
A triangle has three ‹sides|legs›, and a square has ‹four|three›.
[This book|The novel|The article|The poem] was [written|published|translated|forbidden] in [1920|1951|1984|2003] and [is still read today|tells of a war|made her famous|has {number} chapters].
[The painter|The writer|The composer|The architect] [lived|worked|taught] in {city} [for many years|for {number} years|until the war] and [left many works|was famous|taught {field}].
[In 1969|In July 1969], people walked on the ‹moon|sun› for the first time.
[A long time ago|A hundred years ago|Before the war], people had no [cars|phones|computers|electric light], so they [walked|wrote letters|used candles|talked more].
[I think|I believe|She says|They say] that [honesty|patience|friendship|practice] is [important|more than money|hard to find|the best way].
[However|On the other hand|Even so], [not everyone agrees|there are problems|it costs too much|more work is needed].
[First|At first], [read the question|open the box|turn off the power|wash the vegetables]. [Then|Next], [write down the answer|remove the screws|cut them|make a plan]. [Finally|At the end], [check everything|close it again|put them in the pot|clean up].
[The more you practise|The more you read|The longer you wait], the [better you become|more you know|harder it gets].
[Although|Even though] it was [late|cold|raining|expensive], [we went out|they stayed|{name} bought it|the shop was full].
[Because|Since] the [road|bridge|shop|door] was [closed|blocked], we had to [turn back|go another way|wait|come again later].
Neither the [doctor|teacher|mother] nor the [nurse|student|father] [knew the answer|heard the bell|was at home].
It is [easy|hard|possible|impossible] to [learn a language|find a cheap room|explain the idea|please everyone] in a [day|week|month].
There is [a book|a letter|a key|a cup|some water] [on|under|next to] the [table|chair|computer|bed].
There are {number} [chairs|people|books|pictures|windows] in the [room|office|hall|kitchen].
You read a ‹book|bread›, you drink ‹water|wood›, and you wear a ‹coat|soup›.
You cut bread with a ‹knife|spoon›, and you eat soup with a ‹spoon|knife›.
You see with your ‹eyes|ears›, hear with your ‹ears|eyes›, and smell with your ‹nose|hands›.
Banks lend ‹money|books›, and libraries lend ‹books|money›.
The [model|network] [reads|receives] [tokens|words|numbers], [turns them into vectors|passes them through its layers|adds up the results], and [gives each token a probability|chooses the next word|predicts what comes next].
The [probability|chance] of [rain|success|an error|heads] is {number} ‹percent|cats›.
A large language model has [billions|millions] of ‹parameters|horses›, which are [learned|found|adjusted] [from text|during training|step by step].
[Softmax|The softmax] turns [scores|numbers|logits] into ‹probabilities|potatoes› that [add up to one|are never negative].
The [chart|graph|table|diagram] [shows|compares] [the number of visitors|the prices of bread|the temperature|the results] [by month|for each city|over ten years].
Bones hold up the body, and muscles ‹move|eat› it.
The brain [controls|guides] the body, and the skin [covers|protects] ‹it|them›.
[Elephants|Whales|Giraffes] are very ‹large|small›, and [ants|snails|flies] are very ‹small|large›.
[A wolf|A fox|A lion|A tiger] [hunts|eats] other ‹animals|houses›.
""".strip().splitlines()

# Questions and answers, and short talks; ¶ is a line's end.
DIALOGUES = (
    """
"[Good morning|Good afternoon|Hello], [can I help you|what would you like]?" "[Yes, please|Yes]. I would like [a cup of tea|two rolls|some cheese|a kilo of apples|a new umbrella]." "[Here you are|That is {number} euros]. Anything else?"
"How much is [the book|this coat|the ticket|that lamp]?" "[It costs|It is|That is] {number} ‹pounds|birds›." "[That is fair|That is too much|I will take it|Thank you]."
"Where is the [station|toilet|library|nearest bank|bus stop], please?" "[Go straight on|Turn left at the church|It is behind the park|Over there, next to the shop]." "Thank you." "You're ‹welcome|hungry›."
"What time is it?" "It is [half past {number}|{number} o'clock|almost noon|late]." "[Then I must go|Thank you|Oh, already]!"
"How are you?" "I am [fine|very well|a little tired|not so well], ‹thank|bake› you. And you?" "[Fine, too|Very well|I have a cold|Not bad]."
"What is your name?" "My name is {name}." "[Nice to meet you|Welcome|Hello], ‹{name}|{name2}›."
"Where are you from?" "I am from {city}." "[I have never been to|I know|My sister lives in] ‹{city}|{city2}›."
"What do you do?" "I am a [teacher|nurse|student|driver|cook]. [And you?|I work in {city}.]" "[I work in an office|I am still at school|I write books|I am looking for a job]."
"Did you [do your homework|feed the dog|lock the door|call the doctor]?" "[Yes, I did|No, I forgot|Not yet|Of course]." "[Good|Then do it now|Never mind]."
"Can you [swim|drive|cook|play the piano|speak French]?" "[Yes, I can|No, I can't|A little|Not very well]." "[I can teach you|I see|That is good to know]."
"May I [come in|sit here|ask a question|borrow your pen|open the window]?" "[Of course|Yes, please do|Please wait a moment|No, I am sorry]."
"What is the weather like in {city}?" "It is [sunny|raining|cold and windy|warm]." "[Here too|Then I will take a coat|I wish I were there]."
"Why are you [late|sad|laughing|so tired]?" "Because [the train was late|I lost my keys|you said something funny|I did not sleep|the bus did not come]." "[I see|I am sorry|That is all right]."
"When does the [train|film|lesson|meeting|shop] [start|begin|open]?" "At [nine|ten|half past two|six]." "[Then we have time|We must hurry|Let us go]."
"Who [is that|wrote this|called|told you]?" "[My brother|The teacher|A friend from {city}|{name}]." "[I thought so|I see|Oh]."
"What are you reading?" "A book about [space|horses|{field}|the sea|a young detective]." "Is it [good|interesting|difficult|long]?" "[Yes, very|Not really|I have just begun|You can have it later]."
"Do you like [music|football|the soup|your new school|this picture]?" "[Yes, I love it|No, not at all|It is all right|Very much]." "[I see|That is good to know|I thought so]."
"Would you like [some tea|another piece of cake|to come with us|to dance]?" "[Yes, please|No, thank you|I would love to|Perhaps later]."
"I have a question." "[Yes|What is it]?" "What [is a token|is a neuron|does this word mean|comes next|is the answer]?" "[That is a good question|A piece of a word|Look at the picture|I will explain it]."
"[Computer|Robot], [open the door|play some music|turn on the light|what time is it|call {name}]." "[Yes, of course|I am sorry, I can't do that|One moment, please|It is {number} o'clock]."
"[Mum|Dad], can I have [a dog|an ice cream|a new bike|some money]?" "[No|Not today|Perhaps next year|Ask your father]." "[But everyone has one|Please|You always say that]!"
"[The doctor will see you now|Please sit down]. Where does it hurt?" "[My back|My knee|My head|My tooth] hurts." "[How long|Since when]?" "[Since Monday|For {number} days|Since this morning]."
"Hello, this is {name}. Is {name2} there?" "No, ‹{name2}|{name}› is [out|at work|not here|still asleep]. Can I take a message?" "Please tell ‹{name2}|{name}› that ‹{name}|{name2}› called."
Question: [Who|What] [is {name}|does {name} do]? Answer: ‹{name}|{name2}› is a [teacher|doctor|student|friend of {name2}].
Q: [Where does {name} live|Where is {name} now]?¶A: ‹{name}|{name2}› [lives|is] in {city}.¶Q: [Is it far|Is it a big city|Do you know it]?¶A: [Yes|No|I don't know].
[Teacher|Student|Guide]: [What do you see in this picture|What is the next word|Who knows the answer]?¶{name}: [I see a chart|I think it is a verb|I know it|A small house and a tree].¶[Teacher|Guide]: [Very good|Well done|Not quite], ‹{name}|{name2}›.
{name}: [Are you coming to the party|Have you seen the news|Do you have the tickets]?¶{name2}: [Yes, of course|Not yet|I forgot].¶‹{name}|{name2}›: [Good|Great|What a pity].
{name} asked {name2} for [help|a pen|the time|a glass of water]. "[Of course|Sure|Here you are]," said ‹{name2}|{name}›. "Thank you, ‹{name2}|{name}›," said {name}.
Question: What do bees make? Answer: ‹Honey|Milk›.
Question: What do cows give us? Answer: ‹Milk|Honey›.
Question: How many legs does a spider have? Answer: ‹Eight|Six›.
Question: How many days are in a week? Answer: ‹Seven|Ten›.
Question: What is ice made of? Answer: ‹Water|Wood›.
Question: [Is water wet|Is fire hot|Is the moon round|Can birds sing]? Answer: ‹Yes|No›.
Question: [Can a stone swim|Is snow black|Does a fish walk|Is ice hot]? Answer: ‹No|Yes›.
"[I am hungry|I am thirsty]." "[Would you like|Do you want] [an apple|some soup|some water|a sandwich]?" "[Yes, please|That would be nice|No, I will wait for dinner]."
"Whose [bag|coat|phone|dog] is this?" "It is [mine|hers|{girl}'s|my brother's]." "[Then take it|I thought it was mine|It is very nice|Please put it away]."
""".strip()
    .replace("\n", "\0")
    .replace("¶", "\n")
    .split("\0")
)


def words(rng: random.Random) -> dict[str, str]:
    """A word for every slot of the patterns."""
    slots = {"people": PEOPLE, "field": FIELDS, "tool": TOOLS, "planet": PLANETS, "girl": WOMEN, "number": NUMBERS}
    city, city2 = rng.sample(CITIES, 2)
    name, name2 = rng.sample(NAMES, 2)
    chosen = {slot: rng.choice(known) for slot, known in slots.items()}
    return chosen | {"city": city, "city2": city2, "name": name, "name2": name2}
