#include "sidecar/imports/usage_rows.hpp"

#include "tests/sidecar/import_reading.hpp"

namespace apikey {
namespace {

using test::Pieces;
using test::Reading;

const std::string kHeader = "date,endpoint,requests,tokens,cost,model,status\n";
const std::string kGood = "2026-11-28,/e,1,2,0.5,m,success\n";
const std::string kGoodLine = "2026-11-28T00:00:00Z\t/e\t1\t2\t0.5\tm\tsuccess\n";

Reading read(TransferFormat format, const Pieces& pieces) {
    ImportOutcome outcome;
    RowErrors errors(outcome);
    CopyFile lines;
    const auto reader = usage_reader(format, errors, lines);
    Reading reading;
    test::feed_all(*reader, pieces, outcome, reading);
    reading.lines = test::all_of(lines);
    return reading;
}

// The same however it is cut; but where a null stood that was refused, Boost.JSON says in two ways.
Reading read_cut(TransferFormat format, const std::string& text) {
    const Reading whole = read(format, {text});
    test::for_every_cut(text, [&](const Pieces& pieces) {
        Reading cut = read(format, pieces);
        if (text.find("null") != std::string::npos) {
            EXPECT_EQ(cut.malformed.empty(), whole.malformed.empty());
            cut.malformed = whole.malformed;
        }
        EXPECT_EQ(cut, whole) << text << ": " << cut.malformed;
    });
    return whole;
}

Reading csv(const std::string& text) {
    return read_cut(TransferFormat::csv, text);
}
Reading json(const std::string& text) {
    return read_cut(TransferFormat::json, text);
}
Reading json_rows(const std::string& rows) {
    return json("{\"data\":[" + rows + "]}");
}

using Texts = std::vector<std::string>;

TEST(UsageCsv, WritesLinesForCopy) {
    const Reading reading = csv(kHeader + kGood + "2026-11-28T12:00:00+01:00,\"a\tb\\\n\",0,0,0,'=x,error\n");
    EXPECT_EQ(reading.malformed, "");
    EXPECT_EQ(reading.errors, Texts());
    EXPECT_EQ(reading.rows, 2U);
    EXPECT_EQ(reading.lines, "1\t" + kGoodLine + "2\t2026-11-28T11:00:00Z\ta\\tb\\\\\\n\t0\t0\t0\t=x\terror\n");
    EXPECT_EQ(csv("status,model,cost,tokens,requests,endpoint,date\nsuccess,m,0.5,2,1,/e,2026-11-28").lines,
              "1\t" + kGoodLine);
    EXPECT_EQ(csv(kHeader).malformed, "");
    EXPECT_EQ(csv(kHeader + "2026-11-28,\"\\.\",1,2,0.5,\\N,success\n").lines,
              "1\t2026-11-28T00:00:00Z\t\\\\.\t1\t2\t0.5\t\\\\N\tsuccess\n");
}

TEST(UsageCsv, NeedsItsHeader) {
    const std::string must = "; it must be date,endpoint,requests,tokens,cost,model,status in any order";
    EXPECT_EQ(csv("").malformed,
              "the file is empty; its first line must be date,endpoint,requests,tokens,cost,model,status in any order");
    EXPECT_EQ(csv("date,endpoint,requests,tokens,cost,model\n").malformed,
              "line 1: the first line has no column \"status\"" + must);
    EXPECT_EQ(csv("date,endpoint,requests,tokens,cost,model,status,userId\n").malformed,
              "line 1: the first line has an unknown column \"userId\"" + must);
    EXPECT_EQ(csv("date,endpoint,requests,tokens,cost,model,date\n").malformed,
              "line 1: the first line has the column \"date\" twice" + must);
    EXPECT_EQ(csv(kGood).malformed, "line 1: the first line has an unknown column \"2026-11-28\"" + must);
    EXPECT_EQ(csv(kHeader + "\"").malformed, "line 2, column 1: this quote is never closed");
}

TEST(UsageCsv, NamesEveryProblemOfARow) {
    EXPECT_EQ(csv(kHeader + kGood + "2027-02-29,\"\n\xFF\",-1,1.5,-2,m,ok\n" + kGood + "a,b\n\n" + kGood).errors,
              (Texts{"row 2 (line 3) date: \"2027-02-29\" is no date (2026-11-28) and no time with its zone "
                     "(2026-11-28T12:00:00Z) of the years 1 to 9999",
                     "row 2 (line 3) endpoint: is not UTF-8",
                     "row 2 (line 3) requests: \"-1\" is no whole number; write digits only, as 12",
                     "row 2 (line 3) tokens: \"1.5\" is no whole number; write digits only, as 12",
                     "row 2 (line 3) cost: \"-2\" is no decimal number of 0 or more; write it as 0.0125",
                     "row 2 (line 3) status: \"ok\" is no status; it is success or error",
                     "row 4 (line 6) : has 2 columns, the first line has 7",
                     "row 5 (line 7) : has 1 columns, the first line has 7"}));
    const std::string longest(1024, 'x');
    EXPECT_EQ(read(TransferFormat::csv, {kHeader, "2026-11-28," + longest + ",1,1,1," + longest + ",error\n"}).errors,
              Texts());
    EXPECT_EQ(read(TransferFormat::csv, {kHeader, "2026-11-28," + longest + "x,1,1,1," + longest + "x,error\n"}).errors,
              (Texts{"row 1 (line 2) endpoint: is longer than 1024 bytes",
                     "row 1 (line 2) model: is longer than 1024 bytes"}));
    EXPECT_EQ(csv(kHeader + std::string("2026-11-28,a\0b,1,1,1,m,error\n", 29)).errors,
              Texts{"row 1 (line 2) endpoint: holds a NUL character, which Postgres has no room for"});
}

TEST(UsageCsv, KeepsAHundredErrorsAndCountsTheRest) {
    std::string text = kHeader;
    for (int i = 0; i < 150; ++i)
        text += kGood + "x\n";
    const Reading reading = read(TransferFormat::csv, {text});
    EXPECT_EQ(reading.errors.size(), 100U);
    EXPECT_EQ(reading.more_errors, 50U);
    EXPECT_EQ(reading.errors.back(), "row 200 (line 201) : has 1 columns, the first line has 7");
    EXPECT_EQ(reading.rows, 300U);
    EXPECT_EQ(reading.lines, "1\t" + kGoodLine) << "nothing more is written after the first";
}

const std::string kGoodRow =
    R"({"date":"2026-11-28","endpoint":"/e","requests":1,"tokens":2,"cost":0.5,"model":"m","status":"success"})";

TEST(UsageJson, WritesTheSameLines) {
    EXPECT_EQ(
        json(R"({"success":true,"exportDate":"x","format":"json","data":[)" + kGoodRow + R"(],"recordCount":1})").lines,
        "1\t" + kGoodLine);
    EXPECT_EQ(json(R"({"recordCount":2,"x":{"data":[{"data":1}]},"data":[)" + kGoodRow + "," + kGoodRow +
                   R"(],"y":[[1]],"z":null})")
                  .lines,
              "1\t" + kGoodLine + "2\t" + kGoodLine);
    const std::string without_model =
        R"({"status":"error","cost":1.5E-3,"tokens":9223372036854775807,"requests":9007199254740993,"endpoint":"'=\n","date":"2026-11-28"})";
    EXPECT_EQ(json_rows(without_model).lines,
              "1\t2026-11-28T00:00:00Z\t'=\\n\t9007199254740993\t9223372036854775807\t0.0015\t\terror\n");
    EXPECT_EQ(json_rows("").malformed, "");
}

TEST(UsageJson, NamesEveryProblemOfARow) {
    EXPECT_EQ(
        json_rows(
            R"({"date":1,"endpoint":null,"requests":"1","tokens":1.0,"cost":1e99,"model":["m",{}],"status":{"a":"b"},"user_id":"x","date":"2026-11-28"},)" +
            kGoodRow + ",7,[{}],{}")
            .errors,
        (Texts{"row 1 date: must be a text, in quotes", "row 1 endpoint: must be a text, in quotes",
               "row 1 requests: must be a number, without quotes",
               "row 1 tokens: \"1.0\" is no whole number; write digits only, as 12",
               "row 1 cost: \"1e99\" has more than 30 digits before the point or 30 behind it",
               "row 1 model: must be a text, in quotes", "row 1 status: must be a text, in quotes",
               "row 1 : has an unknown member \"user_id\"", "row 1 : has the member \"date\" twice",
               "row 3 : must be an object", "row 4 : must be an object", "row 5 date: is missing",
               "row 5 endpoint: is missing", "row 5 requests: is missing", "row 5 tokens: is missing",
               "row 5 cost: is missing", "row 5 status: is missing"}));
    EXPECT_EQ(
        json_rows(R"({"date":"2026-11-28","endpoint":"\u0000","requests":1,"tokens":2,"cost":0.5,"status":"success"})")
            .errors,
        Texts{"row 1 endpoint: holds a NUL character, which Postgres has no room for"});
    const std::string huge = R"({"date":"2026-11-28","endpoint":")" + std::string(1'000'000, 'x') +
                             R"(","requests":1,"tokens":2,"cost":1,"status":"error"})";
    EXPECT_EQ(read(TransferFormat::json, {"{\"data\":[", huge, "]}"}).errors,
              Texts{"row 1 endpoint: is longer than 1024 bytes"});
}

TEST(UsageJson, ChecksTheEnvelope) {
    EXPECT_EQ(json(R"({"data":[)" + kGoodRow + R"(],"recordCount":2})").errors,
              Texts{"row 0 recordCount: is \"2\", but there are 1 rows in data: is the file complete?"});
    EXPECT_EQ(json(R"({"data":[],"recordCount":0.0})").errors.size(), 1U);
    for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
             {"[]", "line 1 (byte 1): the document must be an object"},
             {"7", "the document must be an object"},
             {"{}", "the object has no member \"data\""},
             {R"({"data":[],"data":[]})", "the object has the member \"data\" twice"},
             {R"({"data":{}})", "\"data\" must be an array"},
             {R"({"data":null})", "\"data\" must be an array"},
             {R"({"data":[],"recordCount":"0"})", "\"recordCount\" must be a number"},
             {R"({"success":1,"data":[]})", "\"success\" must be true or false"},
             {R"({"data":[{]})", "this is no JSON"},
             {R"({"data":[)", "the document is not complete"},
             {R"({"data":[]}x)", "there is more behind the document"},
             {"", "the document is not complete"}}) {
        const Reading reading = json(text);
        EXPECT_NE(reading.malformed.find(why), std::string::npos) << text << ": " << reading.malformed;
    }
}

// Hazard X14.
TEST(UsageJson, BearsManyNamesInOneObject) {
    std::string text = "{\"data\":[{";
    for (int i = 0; i < 1'000'000; ++i)
        text += "\"" + std::to_string(i) + "\":0,";
    text += "\"x\":{}}]}";
    const Reading reading = read(TransferFormat::json, {text});
    EXPECT_EQ(reading.errors.size(), 100U);
    EXPECT_EQ(reading.more_errors, 1'000'001U + 6 - 100);
}

}  // namespace
}  // namespace apikey
